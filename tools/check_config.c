/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader's judgement of a manfred.cfg, as a program of the host: reads the file from standard
 * input, and prints the number of the line that is wrong (0: none to blame) and what is wrong with
 * it. Exit status: 0 when nothing is.
 */
#include <stdio.h>

#include "lib/config.h"

#define SIZE_MAX_READ 65536

int main(void)
{
	static char text[SIZE_MAX_READ];
	static struct config config;
	const size_t length = fread(text, 1, sizeof(text), stdin);
	struct config_error error;

	config_defaults(&config);
	if (config_parse_file(&config, text, length, &error) && config_complete(&config, &error))
		return 0;
	printf("%u %s\n", error.line, error.text);
	return 1;
}
