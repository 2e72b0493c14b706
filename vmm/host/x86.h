/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions that C has no words for. Nothing here has state. */
#ifndef VMM_HOST_X86_H
#define VMM_HOST_X86_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/x86/cpu.h"

struct cpuid_leaf {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_leaf r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint64_t low, high; /* the processor clears their upper halves */

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/* Write a cache line back to memory. */
static inline void clflush(const void *address)
{
	asm volatile("clflush (%0)" : : "r"(address) : "memory");
}

/* An instruction at 1: that faults goes on at 2: instead (trap.c looks the pair up). */
#define FIXUP                          \
	".pushsection .fixup, \"a\"\n" \
	".quad 1b, 2b\n"               \
	".popsection\n"

/* WRMSR and XSETBV with a value from a guest: false when the processor refuses it with #GP. */
static inline bool wrmsr_safe(uint32_t msr, uint64_t value)
{
	uint8_t faulted = 1;

	asm volatile("1: wrmsr\n"
		     "movb $0, %0\n"
		     "2:\n" FIXUP
		     : "+m"(faulted)
		     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
	return !faulted;
}

static inline bool xsetbv_safe(uint32_t xcr, uint64_t value)
{
	uint8_t faulted = 1;

	asm volatile("1: xsetbv\n"
		     "movb $0, %0\n"
		     "2:\n" FIXUP
		     : "+m"(faulted)
		     : "c"(xcr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
	return !faulted;
}

static inline uint64_t xgetbv(uint32_t xcr)
{
	uint64_t low, high; /* the processor clears their upper halves */

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(xcr));
	return high << 32 | low;
}

/* All state that XCR0 enables, in the standard format; the area's header is 0 before. */
static inline void xsave(void *area)
{
	asm volatile("xsave64 (%0)" : : "r"(area), "a"(~0U), "d"(~0U) : "memory");
}

/* False when the processor refuses the area with #GP. */
static inline bool xrstor_safe(const void *area)
{
	uint8_t faulted = 1;

	asm volatile("1: xrstor64 (%1)\n"
		     "movb $0, %0\n"
		     "2:\n" FIXUP
		     : "+m"(faulted)
		     : "r"(area), "a"(~0U), "d"(~0U)
		     : "memory");
	return !faulted;
}

/* False when there is no such MSR. */
static inline bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
	uint32_t low, high;
	uint8_t faulted = 1;

	asm volatile("1: rdmsr\n"
		     "movb $0, %0\n"
		     "2:\n" FIXUP
		     : "+m"(faulted), "=a"(low), "=d"(high)
		     : "c"(msr));
	*value = (uint64_t)high << 32 | low;
	return !faulted;
}

#define DEFINE_REGISTER_ACCESS(reg)                                        \
	static inline uint64_t read_##reg(void)                            \
	{                                                                  \
		uint64_t value;                                            \
		asm volatile("mov %%" #reg ", %0" : "=r"(value));          \
		return value;                                              \
	}                                                                  \
	static inline void write_##reg(uint64_t value)                     \
	{                                                                  \
		asm volatile("mov %0, %%" #reg : : "r"(value) : "memory"); \
	}

DEFINE_REGISTER_ACCESS(cr0)
DEFINE_REGISTER_ACCESS(cr2)
DEFINE_REGISTER_ACCESS(cr3)
DEFINE_REGISTER_ACCESS(cr4)
DEFINE_REGISTER_ACCESS(dr0)
DEFINE_REGISTER_ACCESS(dr1)
DEFINE_REGISTER_ACCESS(dr2)
DEFINE_REGISTER_ACCESS(dr3)
DEFINE_REGISTER_ACCESS(cr8)
DEFINE_REGISTER_ACCESS(dr6)

#undef DEFINE_REGISTER_ACCESS

/* RDPKRU wants CR4.PKE, which the VMM does not have. */
static inline uint32_t read_pkru(void)
{
	const uint64_t cr4 = read_cr4();
	uint32_t pkru;

	write_cr4(cr4 | CR4_PKE);
	asm volatile("rdpkru" : "=a"(pkru) : "c"(0) : "edx");
	write_cr4(cr4);
	return pkru;
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t value;

	asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint64_t rdtsc(void)
{
	uint64_t low, high; /* the processor clears their upper halves */

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return high << 32 | low;
}

/* Make this VMCS (physical address) the current one. False when it is none. */
static inline bool vmptrld(const uint64_t *vmcs)
{
	bool failed;

	asm volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(*vmcs) : "memory");
	return !failed;
}

/* The physical address of the current VMCS; all ones: there is none. */
static inline uint64_t vmptrst(void)
{
	uint64_t vmcs;

	asm volatile("vmptrst %0" : "=m"(vmcs) : : "cc");
	return vmcs;
}

/* False when the processor does not know this type (enum invept_type). */
static inline bool invept(uint64_t type, uint64_t ept_pointer)
{
	const struct {
		uint64_t ept_pointer, reserved;
	} descriptor = { .ept_pointer = ept_pointer };
	bool failed;

	asm volatile("invept %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(type) : "memory");
	return !failed;
}

/* False when the processor does not know this type (enum invvpid_type). */
static inline bool invvpid(uint64_t type, uint64_t vpid, uint64_t linear_address)
{
	const struct {
		uint64_t vpid, linear_address;
	} descriptor = { .vpid = vpid, .linear_address = linear_address };
	bool failed;

	asm volatile("invvpid %1, %2" : "=@ccbe"(failed) : "m"(descriptor), "r"(type) : "memory");
	return !failed;
}

static inline void invlpg(uint64_t address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void store_fence(void)
{
	asm volatile("sfence" : : : "memory");
}

static inline void pause(void)
{
	asm volatile("pause");
}

/* What is pending comes here: vcpu_interrupt_in_host(). */
static inline void take_interrupts(void)
{
	asm volatile("sti\n\tnop\n\tcli" : : : "memory");
}

static inline void hlt(void)
{
	asm volatile("hlt");
}

#endif
