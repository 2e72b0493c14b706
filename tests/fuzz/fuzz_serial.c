/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Any bytes as SPCR, as DBG2 and as the value of the key `serial`: what comes out is a UART or a
 * place that can be used as it is.
 */
#include "tests/fuzz/fuzz.h"
#include "lib/serial.h"

#define ADDRESS_END (1ULL << 45)

static const char *const texts[] = { "auto", "none", "0x3f8", "pci:00:16.3", "mmio:fe034000,4" };

#define TEXTS (sizeof(texts) / sizeof(texts[0]))

size_t fuzz_seed(unsigned int number, uint8_t *buffer)
{
	if (number < TEXTS) {
		memcpy(buffer, texts[number], strlen(texts[number]));
		return strlen(texts[number]);
	}
	if (number == TEXTS)
		return sample_spcr(buffer, 4, 0x12, 0, 32, 1, 0xfe034000);
	if (number == TEXTS + 1)
		return sample_spcr(buffer, 2, 0, 1, 8, 0, 0x3f8);
	return number == TEXTS + 2 ? sample_dbg2(buffer) : 0;
}

static void check_uart(const struct uart *uart)
{
	const uint64_t size = (uint64_t)UART_REGISTERS * uart->stride;

	REQUIRE(uart->stride == 1 || uart->stride == 2 || uart->stride == 4 || uart->stride == 8);
	REQUIRE(uart->width == 8 || uart->width == 16 || uart->width == 32);
	REQUIRE(uart->clock != 0 && uart->base != 0);
	if (uart->kind == UART_PORT) {
		REQUIRE(uart->base + size <= 0x10000);
		return;
	}
	REQUIRE(uart->kind == UART_MMIO && uart->base + size <= ADDRESS_END);
	REQUIRE(uart->width <= 8 * uart->stride && uart->base % uart->stride == 0);
}

static void check_choice(const struct serial_choice *choice)
{
	switch ((enum serial_kind)choice->kind) {
	case SERIAL_AUTO:
	case SERIAL_NONE:
		break;
	case SERIAL_AT_PORT:
		REQUIRE(choice->address != 0 && choice->address + UART_REGISTERS <= 0x10000);
		break;
	case SERIAL_AT_PCI:
		REQUIRE(choice->address <= PCI_FUNCTION(255, 31, 7));
		break;
	case SERIAL_AT_MMIO:
		REQUIRE(choice->stride == 1 || choice->stride == 4);
		REQUIRE(choice->address != 0 && choice->address % choice->stride == 0);
		REQUIRE(choice->address < ADDRESS_END);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Just these bytes: one more, and the sanitizer sees it. */
	uint8_t *const copy = malloc(size + 1);
	struct serial_choice choice;
	struct uart uart;

	REQUIRE(copy != NULL);
	memmove(copy + 1, data, size);
	if (serial_parse((const char *)copy + 1, size, &choice))
		check_choice(&choice);
	if (serial_from_spcr(copy + 1, (uint32_t)size, &uart))
		check_uart(&uart);
	if (serial_from_dbg2(copy + 1, (uint32_t)size, &uart))
		check_uart(&uart);
	free(copy);
	return 0;
}
