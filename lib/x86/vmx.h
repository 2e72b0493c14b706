/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMX constants: controls, exit reasons, interruption information, capability bits.
 * Source: SDM 3C, chapters "VMCS", "VM entries", "VM exits", and 3D, appendices A to C.
 */
#ifndef LIB_X86_VMX_H
#define LIB_X86_VMX_H

#include <stdint.h>

enum vmcs_field {
#define FIELD(name, encoding, group) VMCS_##name = (encoding),
#include "lib/x86/vmcs_fields.h"
#undef FIELD
};

/* Width of a field, from bits 14:13 of its encoding. */
enum vmcs_width { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };
#define VMCS_FIELD_WIDTH(encoding) ((enum vmcs_width)(((encoding) >> 13) & 3))

/* The segments follow one another in the encodings, two apart, in this order. */
enum segment { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };
#define VMCS_SEGMENT(first, segment) ((enum vmcs_field)((first) + 2 * (unsigned int)(segment)))

/* Pin-based controls */
#define PIN_EXTERNAL_INTERRUPT (1U << 0)
#define PIN_NMI		       (1U << 3)
#define PIN_VIRTUAL_NMI	       (1U << 5)
#define PIN_PREEMPTION_TIMER   (1U << 6)
#define PIN_POSTED_INTERRUPTS  (1U << 7)

/* Primary processor-based controls */
#define PROC_INTERRUPT_WINDOW (1U << 2)
#define PROC_TSC_OFFSETTING   (1U << 3)
#define PROC_HLT	      (1U << 7)
#define PROC_INVLPG	      (1U << 9)
#define PROC_MWAIT	      (1U << 10)
#define PROC_RDPMC	      (1U << 11)
#define PROC_RDTSC	      (1U << 12)
#define PROC_CR3_LOAD	      (1U << 15)
#define PROC_CR3_STORE	      (1U << 16)
#define PROC_TERTIARY	      (1U << 17)
#define PROC_CR8_LOAD	      (1U << 19)
#define PROC_CR8_STORE	      (1U << 20)
#define PROC_TPR_SHADOW	      (1U << 21)
#define PROC_NMI_WINDOW	      (1U << 22)
#define PROC_MOV_DR	      (1U << 23)
#define PROC_IO_BITMAPS	      (1U << 25)
#define PROC_MONITOR_TRAP     (1U << 27)
#define PROC_MSR_BITMAPS      (1U << 28)
#define PROC_MONITOR	      (1U << 29)
#define PROC_SECONDARY	      (1U << 31)

/* Secondary processor-based controls */
#define PROC2_APIC_ACCESSES	 (1U << 0)
#define PROC2_EPT		 (1U << 1)
#define PROC2_DESCRIPTOR_TABLE	 (1U << 2)
#define PROC2_RDTSCP		 (1U << 3)
#define PROC2_X2APIC		 (1U << 4) /* virtualize x2APIC mode */
#define PROC2_VPID		 (1U << 5)
#define PROC2_UNRESTRICTED_GUEST (1U << 7)
#define PROC2_APIC_REGISTERS	 (1U << 8)
#define PROC2_VIRTUAL_INTERRUPTS (1U << 9)
#define PROC2_INVPCID		 (1U << 12)
#define PROC2_VM_FUNCTIONS	 (1U << 13)
#define PROC2_VMCS_SHADOWING	 (1U << 14)
#define PROC2_ENCLS		 (1U << 15)
#define PROC2_PML		 (1U << 17)
#define PROC2_VE		 (1U << 18) /* EPT violations as #VE */
#define PROC2_XSAVES		 (1U << 20)
#define PROC2_MODE_BASED_EXECUTE (1U << 22)
#define PROC2_SUBPAGE_WRITE	 (1U << 23)
#define PROC2_PT_IN_GUEST	 (1U << 24) /* Intel PT uses guest-physical addresses */
#define PROC2_TSC_SCALING	 (1U << 25)
#define PROC2_USER_WAIT		 (1U << 26)
#define PROC2_ENCLV		 (1U << 28)

/* Tertiary processor-based controls: IA32_VMX_PROCBASED_CTLS3 has the bits that may be 1 */
#define PROC3_HLAT		  (1ULL << 1)
#define PROC3_EPT_PAGING_WRITE	  (1ULL << 2)
#define PROC3_PAGING_VERIFICATION (1ULL << 3)
#define PROC3_IPI		  (1ULL << 4)

/* VM-function controls: IA32_VMX_VMFUNC has the bits that may be 1 */
#define VMFUNC_EPTP_SWITCHING (1ULL << 0)

/* Primary VM-exit controls */
#define EXIT_SAVE_DEBUG		   (1U << 2)
#define EXIT_HOST_64BIT		   (1U << 9)
#define EXIT_LOAD_PERF_GLOBAL	   (1U << 12)
#define EXIT_ACK_INTERRUPT	   (1U << 15)
#define EXIT_SAVE_PAT		   (1U << 18)
#define EXIT_LOAD_PAT		   (1U << 19)
#define EXIT_SAVE_EFER		   (1U << 20)
#define EXIT_LOAD_EFER		   (1U << 21)
#define EXIT_SAVE_PREEMPTION_TIMER (1U << 22)
#define EXIT_CLEAR_RTIT		   (1U << 25)
#define EXIT_LOAD_CET		   (1U << 28)
#define EXIT_LOAD_PKRS		   (1U << 29)
#define EXIT_SECONDARY		   (1U << 31)

/* Secondary VM-exit controls: IA32_VMX_EXIT_CTLS2 has the bits that may be 1 */
#define EXIT2_SAVE_FRED	     (1ULL << 0)
#define EXIT2_LOAD_FRED	     (1ULL << 1)
#define EXIT2_LOAD_SPEC_CTRL (1ULL << 2)

/* VM-entry controls */
#define ENTRY_LOAD_DEBUG       (1U << 2)
#define ENTRY_IA32E_GUEST      (1U << 9)
#define ENTRY_TO_SMM	       (1U << 10)
#define ENTRY_DUAL_MONITOR_OFF (1U << 11)
#define ENTRY_LOAD_PERF_GLOBAL (1U << 13)
#define ENTRY_LOAD_PAT	       (1U << 14)
#define ENTRY_LOAD_EFER	       (1U << 15)
#define ENTRY_LOAD_BNDCFGS     (1U << 16)
#define ENTRY_LOAD_RTIT	       (1U << 18)
#define ENTRY_LOAD_UINV	       (1U << 19)
#define ENTRY_LOAD_CET	       (1U << 20)
#define ENTRY_LOAD_LBR	       (1U << 21)
#define ENTRY_LOAD_PKRS	       (1U << 22)
#define ENTRY_LOAD_FRED	       (1U << 23)
#define ENTRY_LOAD_SPEC_CTRL   (1U << 24)

/* IA32_VMX_BASIC */
#define VMX_BASIC_REVISION_MASK	   0x7fffffffULL
#define VMX_BASIC_32BIT_ADDRESSES  (1ULL << 48)
#define VMX_BASIC_TRUE_CONTROLS	   (1ULL << 55)
#define VMX_BASIC_ANY_ERROR_CODE   (1ULL << 56)
#define VMX_BASIC_NESTED_EXCEPTION (1ULL << 58)

/* IA32_VMX_MISC */
#define VMX_MISC_TIMER_RATE(misc)  ((unsigned int)((misc)&0x1f))
#define VMX_MISC_SAVES_LMA	   (1ULL << 5)
#define VMX_MISC_ACTIVITY_HLT	   (1ULL << 6)
#define VMX_MISC_ACTIVITY(state)   (1ULL << (5 + (state))) /* any but active */
#define VMX_MISC_CR3_TARGETS(misc) ((unsigned int)((misc) >> 16 & 0x1ff))
/* Entries of an MSR area that every processor takes; what it does with more is not defined. */
#define VMX_MISC_MSRS(misc)  (512U * (((unsigned int)((misc) >> 25) & 7) + 1))
#define VMX_MISC_ZERO_LENGTH (1ULL << 30)

/* IA32_VMX_EPT_VPID_CAP */
#define EPT_CAP_WALK_4	       (1ULL << 6)
#define EPT_CAP_WALK_5	       (1ULL << 7)
#define EPT_CAP_UNCACHEABLE    (1ULL << 8)
#define EPT_CAP_WRITE_BACK     (1ULL << 14)
#define EPT_CAP_2M	       (1ULL << 16)
#define EPT_CAP_1G	       (1ULL << 17)
#define EPT_CAP_INVEPT	       (1ULL << 20)
#define EPT_CAP_ACCESSED_DIRTY (1ULL << 21)
#define EPT_CAP_SHADOW_STACK   (1ULL << 23)
#define EPT_CAP_INVEPT_SINGLE  (1ULL << 25)
#define EPT_CAP_INVEPT_ALL     (1ULL << 26)
#define VPID_CAP_INVVPID       (1ULL << 32)
#define VPID_CAP_INVVPID_ALL   (1ULL << 42)

/* Basic exit reasons (VMCS_EXIT_REASON bits 15:0) */
enum exit_reason {
	EXIT_REASON_EXCEPTION_NMI = 0,
	EXIT_REASON_EXTERNAL_INTERRUPT = 1,
	EXIT_REASON_TRIPLE_FAULT = 2,
	EXIT_REASON_INIT = 3,
	EXIT_REASON_SIPI = 4,
	EXIT_REASON_INTERRUPT_WINDOW = 7,
	EXIT_REASON_NMI_WINDOW = 8,
	EXIT_REASON_TASK_SWITCH = 9,
	EXIT_REASON_CPUID = 10,
	EXIT_REASON_GETSEC = 11,
	EXIT_REASON_HLT = 12,
	EXIT_REASON_INVD = 13,
	EXIT_REASON_RDPMC = 15,
	EXIT_REASON_RDTSC = 16,
	EXIT_REASON_RSM = 17,
	EXIT_REASON_VMCALL = 18,
	EXIT_REASON_VMCLEAR = 19,
	EXIT_REASON_VMLAUNCH = 20,
	EXIT_REASON_VMPTRLD = 21,
	EXIT_REASON_VMPTRST = 22,
	EXIT_REASON_VMREAD = 23,
	EXIT_REASON_VMRESUME = 24,
	EXIT_REASON_VMWRITE = 25,
	EXIT_REASON_VMXOFF = 26,
	EXIT_REASON_VMXON = 27,
	EXIT_REASON_CR_ACCESS = 28,
	EXIT_REASON_MOV_DR = 29,
	EXIT_REASON_IO = 30,
	EXIT_REASON_RDMSR = 31,
	EXIT_REASON_WRMSR = 32,
	EXIT_REASON_ENTRY_GUEST_STATE = 33,
	EXIT_REASON_ENTRY_MSR_LOAD = 34,
	EXIT_REASON_MWAIT = 36,
	EXIT_REASON_MONITOR_TRAP = 37,
	EXIT_REASON_MONITOR = 39,
	EXIT_REASON_PAUSE = 40,
	EXIT_REASON_ENTRY_MACHINE_CHECK = 41,
	EXIT_REASON_GDTR_IDTR = 46,
	EXIT_REASON_LDTR_TR = 47,
	EXIT_REASON_EPT_VIOLATION = 48,
	EXIT_REASON_EPT_MISCONFIG = 49,
	EXIT_REASON_INVEPT = 50,
	EXIT_REASON_PREEMPTION_TIMER = 52,
	EXIT_REASON_INVVPID = 53,
	EXIT_REASON_WBINVD = 54,
	EXIT_REASON_XSETBV = 55,
	EXIT_REASON_VMFUNC = 59,
	EXIT_REASON_ENCLS = 60,
	EXIT_REASON_ENCLV = 70,
	EXIT_REASON_SEAMCALL = 76,
	EXIT_REASON_TDCALL = 77,
	EXIT_REASON_RDMSR_IMMEDIATE = 84,
	EXIT_REASON_WRMSRNS_IMMEDIATE = 85,
	EXIT_REASON_COUNT = 86,
};
#define EXIT_REASON_BASIC(reason) ((reason)&0xffffU)
#define EXIT_REASON_ENTRY_FAILURE (1U << 31)

/* Interruption information: VM-entry, VM-exit and IDT-vectoring alike */
#define INTERRUPTION_VECTOR(info)     ((uint8_t)(info))
#define INTERRUPTION_TYPE(info)	      (((info) >> 8) & 7)
#define INTERRUPTION_TYPE_SHIFT	      8
#define INTERRUPTION_ERROR_CODE_VALID (1U << 11)
#define INTERRUPTION_NMI_UNBLOCKED    (1U << 12) /* exit information only: by IRET */
#define INTERRUPTION_NESTED	      (1U << 13)
#define INTERRUPTION_VALID	      (1U << 31)

enum event_type {
	EVENT_EXTERNAL_INTERRUPT = 0,
	EVENT_NMI = 2,
	EVENT_HARDWARE_EXCEPTION = 3,
	EVENT_SOFTWARE_INTERRUPT = 4,
	EVENT_PRIVILEGED_SOFTWARE_EXCEPTION = 5,
	EVENT_SOFTWARE_EXCEPTION = 6,
	EVENT_OTHER = 7,
};

/* Guest interruptibility state */
#define INTERRUPTIBILITY_STI	 (1U << 0)
#define INTERRUPTIBILITY_MOV_SS	 (1U << 1)
#define INTERRUPTIBILITY_SMI	 (1U << 2)
#define INTERRUPTIBILITY_NMI	 (1U << 3)
#define INTERRUPTIBILITY_ENCLAVE (1U << 4)

/* Exit qualifications of a VM entry that fails by the guest's state (SDM 3C, 28.8) */
#define ENTRY_FAILURE_PDPTE	   2
#define ENTRY_FAILURE_NMI	   3
#define ENTRY_FAILURE_LINK_POINTER 4

enum activity_state { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_FOR_SIPI };

/* Pending debug exceptions: a single step; all that cause a #DB (bus lock, enabled breakpoint, RTM)
 */
#define PENDING_DEBUG_BUS_LOCK (1U << 11)
#define PENDING_DEBUG_ENABLED  (1U << 12)
#define PENDING_DEBUG_BS       (1U << 14)
#define PENDING_DEBUG_RTM      (1U << 16)
#define PENDING_DEBUG_TRAPS    (PENDING_DEBUG_BS | 1U << 11 | 1U << 12 | 1U << 16)

/* Segment access rights */
#define ACCESS_RIGHTS_UNUSABLE (1U << 16)
#define ACCESS_RIGHTS_CODE64   0xa09bU /* execute/read, accessed, present, DPL 0, L, 4 KiB */
#define ACCESS_RIGHTS_CODE32   0xc09bU
#define ACCESS_RIGHTS_DATA     0xc093U /* read/write, accessed, present, DPL 0, 32 bit, 4 KiB */
#define ACCESS_RIGHTS_CODE16   0x009bU
#define ACCESS_RIGHTS_DATA16   0x0093U
#define ACCESS_RIGHTS_LDT      0x0082U
#define ACCESS_RIGHTS_TSS_BUSY 0x008bU
#define ACCESS_RIGHTS_DPL(ar)  (((ar) >> 5) & 3)
#define ACCESS_RIGHTS_TYPE(ar) ((ar)&0xfU)
#define ACCESS_RIGHTS_S	       (1U << 4)
#define ACCESS_RIGHTS_PRESENT  (1U << 7)
#define ACCESS_RIGHTS_L	       (1U << 13)
#define ACCESS_RIGHTS_DB       (1U << 14)
#define ACCESS_RIGHTS_G	       (1U << 15)
#define ACCESS_RIGHTS_RESERVED 0xfffe0f00U

/* Exit qualifications */
#define CR_ACCESS_REGISTER(q)  ((unsigned int)(q)&0xf)
#define CR_ACCESS_TYPE(q)      (((unsigned int)(q) >> 4) & 3)
#define CR_ACCESS_GPR(q)       (((unsigned int)(q) >> 8) & 0xf)
#define CR_ACCESS_LMSW_DATA(q) (((unsigned int)(q) >> 16) & 0xffff)
enum { CR_ACCESS_MOV_TO, CR_ACCESS_MOV_FROM, CR_ACCESS_CLTS, CR_ACCESS_LMSW };

#define IO_SIZE(q) (((unsigned int)(q)&7) + 1)
#define IO_IN	   (1ULL << 3)
#define IO_STRING  (1ULL << 4)
#define IO_PORT(q) ((uint16_t)((q) >> 16))

#define EPT_VIOLATION_READ	   (1ULL << 0)
#define EPT_VIOLATION_WRITE	   (1ULL << 1)
#define EPT_VIOLATION_FETCH	   (1ULL << 2)
#define EPT_VIOLATION_LINEAR_VALID (1ULL << 7)
#define EPT_VIOLATION_NMI_UNBLOCK  (1ULL << 12)

/* EPT entries */
#define EPT_READ	   (1ULL << 0)
#define EPT_WRITE	   (1ULL << 1)
#define EPT_EXECUTE	   (1ULL << 2)
#define EPT_RWX		   (EPT_READ | EPT_WRITE | EPT_EXECUTE)
#define EPT_MEMORY_TYPE(t) ((uint64_t)(t) << 3)
#define EPT_LARGE	   (1ULL << 7)
#define EPT_ADDRESS_MASK   0x000ffffffffff000ULL

/* EPT pointer */
#define EPTP_WRITE_BACK	    6ULL
#define EPTP_MEMORY_TYPE(p) ((unsigned int)((p)&7))
#define EPTP_WALK(p)	    ((unsigned int)((p) >> 3 & 7)) /* one less than its length */
#define EPTP_WALK_4	    (3ULL << 3)
#define EPTP_ACCESSED_DIRTY (1ULL << 6)
#define EPTP_SHADOW_STACK   (1ULL << 7)
#define EPTP_RESERVED	    0xf00ULL

/* An entry of the VM-entry and VM-exit MSR areas. */
struct vmx_msr_entry {
	uint32_t index;
	uint32_t reserved;
	uint64_t value;
};

enum invept_type { INVEPT_SINGLE = 1, INVEPT_ALL = 2 };
enum invvpid_type { INVVPID_ADDRESS, INVVPID_SINGLE, INVVPID_ALL, INVVPID_SINGLE_RETAIN_GLOBALS };

#endif
