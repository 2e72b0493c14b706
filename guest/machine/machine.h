/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's machine: its tables, instructions that C has no words for, and the catching of
 * exceptions and interrupts.
 */
#ifndef GUEST_MACHINE_MACHINE_H
#define GUEST_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/layout.h"
#include "lib/x86/cpu.h"
#include "lib/x86/msr.h"
#include "lib/x86/vmx.h"
#include "lib/hypercall.h"

/* The order suits SYSRET: user data 8 above STAR[63:48], user code 16 above. */
#define SELECTOR_KERNEL_CODE 0x08U
#define SELECTOR_KERNEL_DATA 0x10U
#define SELECTOR_USER_BASE   0x18U
#define SELECTOR_USER_DATA   0x23U
#define SELECTOR_USER_CODE   0x2bU
#define SELECTOR_TSS	     0x30U
/* IA32_STAR, as machine_init() sets it. */
#define STAR_OF_GUEST \
	((uint64_t)(SELECTOR_USER_BASE | 3) << 48 | (uint64_t)SELECTOR_KERNEL_CODE << 32)

/* Vectors of no other meaning. Ring 3 may raise these two itself. */
#define VECTOR_SOFTWARE	  0x80
#define VECTOR_USER_LEAVE 0xff
/* Of a high priority: on the bare machine all of lower ones wait (apic.c). */
#define VECTOR_INTERRUPT 0xe1

/* Interrupt stack table entries; 0 is no switch. */
enum ist { IST_NONE, IST_TEST, IST_DOUBLE_FAULT, IST_NMI, IST_COUNT = IST_NMI };

#define NON_CANONICAL	 0x8000000000000000ULL
#define UNMAPPED_ADDRESS 0x700000001238ULL /* far above all memory */

/* Page-table entries */
#define PTE_PRESENT    (1ULL << 0)
#define PTE_WRITE      (1ULL << 1)
#define PTE_USER       (1ULL << 2)
#define PTE_NO_EXECUTE (1ULL << 63)
#define PTE_RIGHTS     (PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_NO_EXECUTE)
#define PTE_DATA       (PTE_PRESENT | PTE_WRITE | PTE_NO_EXECUTE)
#define PTE_CODE       PTE_PRESENT
#define PTE_READ_ONLY  (PTE_PRESENT | PTE_NO_EXECUTE)

/* DR6 and DR7; the causes stand in the same places in the event data of #DB */
#define DR6_B0	      (1ULL << 0)
#define DR6_BD	      (1ULL << 13)
#define DR6_BS	      (1ULL << 14)
#define DR7_L0	      (1ULL << 0)
#define DR7_RW0_WRITE (1ULL << 16)
#define DR7_LEN0_8    (2ULL << 18)

/* #PF error code */
#define PF_PRESENT 1U
#define PF_WRITE   2U
#define PF_USER	   4U
#define PF_FETCH   16U

#define RFLAGS_CF     (1ULL << 0)
#define RFLAGS_DF     (1ULL << 10)
#define RFLAGS_NT     (1ULL << 14)
#define RFLAGS_ID     (1ULL << 21)
#define RFLAGS_STATUS 0x8d5ULL /* CF PF AF ZF SF OF */

/* What boot.asm pushes; error_code is 0 where the processor gives none. */
struct frame {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* One event as its handler saw it. */
struct caught {
	struct frame frame;
	uint64_t frame_address;
	uint64_t cr2, dr6, dr7;
};

#define CAUGHT_MAX 8

/* Events since catch_begin(). An event while nothing is to be caught ends the guest. */
extern struct catcher {
	bool armed;
	unsigned int count;
	struct caught events[CAUGHT_MAX];
	void (*hook)(struct frame *frame); /* called by the handler, when not NULL */
} catcher;

/* Where the next handler goes on instead of the saved RIP, when not 0; one event long. */
extern uint64_t catch_resume;

void catch_begin(void);
/* The number of events caught. */
unsigned int catch_end(void);

/* Instructions for an asm statement with r11 clobbered: an exception in them goes on behind. */
#define TRY(instructions) \
	"leaq 9f(%%rip), %%r11\n\tmovq %%r11, catch_resume(%%rip)\n\t" instructions "\n9:\n\t"

/*
 * A piece of code in a user-executable page that raises one event: tests/vmm/fragments.asm. The
 * handler finds `saved` as RIP and goes on at `next`; NULL: where the event came.
 */
struct fragment {
	const char *code, *saved, *next;
};

#define FRAGMENT_LABELS(name)                                         \
	extern const char name[], name##_saved[] asm(#name ".saved"), \
		name##_next[] asm(#name ".next")
#define FRAGMENT(name)                          \
	{                                       \
		name, name##_saved, name##_next \
	}

FRAGMENT_LABELS(raise_int_n);
FRAGMENT_LABELS(raise_int3);
FRAGMENT_LABELS(raise_int1);
FRAGMENT_LABELS(raise_ud2);
FRAGMENT_LABELS(raise_read);
FRAGMENT_LABELS(raise_step);
FRAGMENT_LABELS(raise_injected);
FRAGMENT_LABELS(raise_any);
FRAGMENT_LABELS(raise_vmcall);
FRAGMENT_LABELS(raise_vmread);
FRAGMENT_LABELS(raise_rdmsr);
FRAGMENT_LABELS(raise_wait);
FRAGMENT_LABELS(raise_int_00);
FRAGMENT_LABELS(raise_int_01);
FRAGMENT_LABELS(raise_int_02);
FRAGMENT_LABELS(raise_int_03);
FRAGMENT_LABELS(raise_int_08);
FRAGMENT_LABELS(raise_int_0e);
FRAGMENT_LABELS(raise_int_20);
FRAGMENT_LABELS(raise_int_ff);
FRAGMENT_LABELS(raise_syscall);
FRAGMENT_LABELS(raise_sysenter);
FRAGMENT_LABELS(raise_write);
FRAGMENT_LABELS(raise_fetch);
FRAGMENT_LABELS(raise_de);
FRAGMENT_LABELS(raise_ss);
FRAGMENT_LABELS(raise_load_es);
FRAGMENT_LABELS(raise_nm);
FRAGMENT_LABELS(raise_mf);
FRAGMENT_LABELS(raise_xm);
FRAGMENT_LABELS(raise_ac);
FRAGMENT_LABELS(raise_breakpoint);
FRAGMENT_LABELS(raise_watchpoint);
FRAGMENT_LABELS(raise_gd);
FRAGMENT_LABELS(raise_interrupt);
FRAGMENT_LABELS(raise_ud2_lower);
FRAGMENT_LABELS(step_int_n);
FRAGMENT_LABELS(step_syscall);
FRAGMENT_LABELS(step_sysenter);
FRAGMENT_LABELS(step_int3);
FRAGMENT_LABELS(step_int1);
FRAGMENT_LABELS(step_ud2);
FRAGMENT_LABELS(step_hlt);
FRAGMENT_LABELS(step_vmcall);

/* Run it in ring 0 or 3, with FRED when that is on; in ring 3 with interrupts on. */
void fragment_run(unsigned int ring, const struct fragment *fragment, uint64_t argument);
extern uint64_t fragment_rsp; /* RSP at the start of the last one */
/* The stack of ring 3, which it may read and write; and its top. */
extern uint64_t user_stack[PAGE_SIZE / sizeof(uint64_t)];
uint64_t user_stack_top(void);

/* Page tables, GDT, TSS, IDT of our own. Ends the guest when memory_size is too small. */
void machine_init(uint64_t memory_size, bool bare);

/*
 * A second processor, in the state in which the first one began, gets the same, but no task state.
 * The first one prepares it.
 */
void machine_prepare_second(void);
void machine_init_second(void);

extern bool is_bare; /* no VMM: no hypercalls */

/* apic.c: on the bare machine, no interrupt but what a test asks for, until the end. */
void apic_init(void);
void apic_leave(void);
/*
 * A physical interrupt and an NMI for this processor: by the local APIC, or by the VMM when
 * there is one. They return false when there is no way. The interrupt is pending then; the NMI
 * comes soon.
 */
bool interrupt_self(unsigned int vector);
bool nmi_self(void);
/* What was sent arrives within this time. */
void interrupts_settle(void);
/* The handler of such an interrupt is done with it. */
void interrupt_acknowledge(void);

/* The page-table entry of a page of the image, or of memory that is mapped by 4 KiB pages. */
uint64_t *page_entry(const void *page);
/* Does this processor stop at a breakpoint in DR0? Some emulators do not. */
bool has_breakpoints(void);

/* Give a page new rights: PTE_... */
void page_set_rights(const void *page, uint64_t rights);
/* Map 2 MiB, identity, read and write. */
bool page_map_large(uint64_t address);

void gate_set_present(unsigned int vector, bool present);
void gate_set_ist(unsigned int vector, enum ist ist);
void gate_set_handler(unsigned int vector, uint64_t handler);

/* Go on as this frame says; reads it from the lowest address to the highest. */
_Noreturn void exception_return(const struct frame *frame);

/* Pages for tests, one behind the other. */
#define TEST_PAGES 4
extern uint8_t test_pages[TEST_PAGES][PAGE_SIZE];

/* The pages that the delivery of an event needs. */
extern uint8_t idt_page[PAGE_SIZE], gdt_page[PAGE_SIZE], tss_page[PAGE_SIZE];
/* The top page of a stack: of an IST entry, or (IST_NONE) the one that ring 3 enters ring 0 on. */
uint8_t *stack_top_page(enum ist ist);

static inline long hypercall(enum hypercall number, uint64_t rbx, uint64_t rcx, uint64_t rdx,
			     uint64_t rsi)
{
	long result;

	asm volatile("vmcall"
		     : "=a"(result)
		     : "a"(number), "b"(rbx), "c"(rcx), "d"(rdx), "S"(rsi)
		     : "memory");
	return result;
}

static inline uint64_t exits(enum exit_reason reason)
{
	return (uint64_t)hypercall(HYPERCALL_EXIT_COUNT, reason, 0, 0, 0);
}

/* The next access to the page exits. */
static inline void ept_unmap(const void *page)
{
	hypercall(HYPERCALL_UNMAP_PAGE, (uintptr_t)page, 0, 0, 0);
}

/* VM-entry interruption information */
#define INJECT(type, vector) \
	(INTERRUPTION_VALID | (uint32_t)(type) << INTERRUPTION_TYPE_SHIFT | (uint32_t)(vector))

/*
 * Ask the VMM for an event. Returns the address behind the VMCALL, where NOPs follow: room for
 * the instruction that a software event claims to be.
 */
static inline uint64_t inject(uint32_t info, uint64_t error_code, uint64_t length, uint64_t data)
{
	uint64_t behind;
	long result = HYPERCALL_INJECT;

	asm volatile("leaq 1f(%%rip), %0\n\tvmcall\n1:\t.fill 15, 1, 0x90"
		     : "=&r"(behind), "+a"(result)
		     : "b"((uint64_t)info), "c"(error_code), "d"(length), "S"(data)
		     : "memory");
	return behind;
}

struct cpuid_result {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_result cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_result r;

	asm volatile("cpuid"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
		     : "a"(leaf), "c"(subleaf));
	return r;
}

/* CPUID says that there is FRED. */
static inline bool has_fred(void)
{
	return cpuid(7, 1).eax & CPUID_7_1_EAX_FRED;
}

/* An MSR that is there, and a value that fits: an exception would not be caught. */
static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr"
		     :
		     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "memory");
}

/* In these, an exception leaves the value as it was (0 for reads): look at the catcher. */
static inline uint64_t try_rdmsr(uint32_t msr)
{
	uint64_t low = 0, high = 0;

	asm volatile(TRY("rdmsr") : "+a"(low), "+d"(high) : "c"(msr) : "r11", "memory");
	return high << 32 | low;
}

static inline void try_wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile(TRY("wrmsr")
		     :
		     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "r11", "memory");
}

static inline void try_xsetbv(uint32_t xcr, uint64_t value)
{
	asm volatile(TRY("xsetbv")
		     :
		     : "c"(xcr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "r11", "memory");
}

static inline uint64_t xgetbv(uint32_t xcr)
{
	uint32_t low, high;

	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(xcr));
	return (uint64_t)high << 32 | low;
}

#define DEFINE_REGISTER_ACCESS(reg)                                                    \
	static inline uint64_t read_##reg(void)                                        \
	{                                                                              \
		uint64_t value;                                                        \
		asm volatile("mov %%" #reg ", %0" : "=r"(value));                      \
		return value;                                                          \
	}                                                                              \
	static inline void try_write_##reg(uint64_t value)                             \
	{                                                                              \
		asm volatile(TRY("mov %0, %%" #reg) : : "r"(value) : "r11", "memory"); \
	}                                                                              \
	static inline void write_##reg(uint64_t value)                                 \
	{                                                                              \
		asm volatile("mov %0, %%" #reg : : "r"(value) : "memory");             \
	}

DEFINE_REGISTER_ACCESS(cr0)
DEFINE_REGISTER_ACCESS(cr2)
DEFINE_REGISTER_ACCESS(cr3)
DEFINE_REGISTER_ACCESS(cr4)
DEFINE_REGISTER_ACCESS(cr8)
DEFINE_REGISTER_ACCESS(dr0)
DEFINE_REGISTER_ACCESS(dr1)
DEFINE_REGISTER_ACCESS(dr2)
DEFINE_REGISTER_ACCESS(dr3)
DEFINE_REGISTER_ACCESS(dr6)
DEFINE_REGISTER_ACCESS(dr7)

#undef DEFINE_REGISTER_ACCESS

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void interrupts_on(void)
{
	/* The NOP ends the shadow of STI. */
	asm volatile("sti\n\tnop" : : : "memory");
}

static inline void interrupts_off(void)
{
	asm volatile("cli" : : : "memory");
}

/* The jump begins a new trace: the emulator's RDTSC tells the time at which that began. */
static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	asm volatile("jmp 1f\n1:\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void invlpg(const void *address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

#endif
