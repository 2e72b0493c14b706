/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The few instructions that the loader needs and C does not have.
 */
#ifndef BOOT_CPU_H
#define BOOT_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/x86/cpu.h"

struct cpuid_result {
	uint32_t eax, ebx, ecx, edx;
};

static inline void port_write(uint32_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"((uint16_t)port));
}

static inline uint8_t port_read(uint32_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"((uint16_t)port));
	return value;
}

static inline void port_write_32(uint32_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"((uint16_t)port));
}

static inline uint32_t port_read_32(uint32_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"((uint16_t)port));
	return value;
}

static inline struct cpuid_result cpuid_subleaf(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline struct cpuid_result cpuid(uint32_t leaf)
{
	return cpuid_subleaf(leaf, 0);
}

static inline bool processor_has_vmx(void)
{
	return (cpuid(1).ecx & CPUID_1_ECX_VMX) != 0;
}

static inline bool processor_has_fred(void)
{
	return cpuid(0).eax >= 7 && (cpuid_subleaf(7, 1).eax & CPUID_7_1_EAX_FRED);
}

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static inline uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* From the caches to the memory. */
static inline void flush_cache_line(const void *address)
{
	__asm__ volatile("clflush (%0)" : : "r"(address) : "memory");
}

static inline void disable_interrupts(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void halt(void)
{
	__asm__ volatile("hlt");
}

#endif
