// SPDX-License-Identifier: BSD-2-Clause
/* Ports: this guest has no devices, so they read as ones, and writes go nowhere. */
#include "guest/machine/machine.h"
#include "guest/suite/suite.h"

#define PORT_SERIAL   0x3fd
#define PORT_KEYBOARD 0x64
#define PORT_PCI      0xcf8
#define HIGH_HALF     0xaaaaaaaa00000000ULL
#define FILL	      0x55555555ULL

static void read_byte(uint64_t port)
{
	uint64_t rax = HIGH_HALF | FILL;

	asm volatile("inb %%dx, %%al" : "+a"(rax) : "d"(port));
	check_equal("RAX", rax, HIGH_HALF | (FILL & ~0xffULL) | 0xff);
}

static void read_word(uint64_t port)
{
	uint64_t rax = HIGH_HALF | FILL;

	asm volatile("inw %%dx, %%ax" : "+a"(rax) : "d"(port));
	check_equal("RAX", rax, HIGH_HALF | (FILL & ~0xffffULL) | 0xffff);
}

static void read_long(uint64_t port)
{
	uint64_t rax = HIGH_HALF | FILL;

	asm volatile("inl %%dx, %%eax" : "+a"(rax) : "d"(port));
	check_equal("RAX", rax, 0xffffffff);
}

static void write_goes_on(uint64_t port)
{
	catch_begin();
	asm volatile("outb %%al, %%dx" : : "a"(0), "d"(port));
	asm volatile("outw %%ax, %%dx" : : "a"(0), "d"(port));
	asm volatile("outl %%eax, %%dx" : : "a"(0), "d"(port));
	expect_no_event();
}

static const struct test tests[] = {
	{ "byte_of_serial_port", read_byte, PORT_SERIAL },
	{ "byte_of_keyboard", read_byte, PORT_KEYBOARD },
	{ "word_of_serial_port", read_word, PORT_SERIAL },
	{ "long_of_pci", read_long, PORT_PCI },
	{ "writes_go_nowhere", write_goes_on, PORT_SERIAL },
};

const struct chapter chapter_io = CHAPTER("io", tests);
