/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interface between a guest and Manfred: VMCALL with the number in RAX and
 * arguments in RBX, RCX, RDX, RSI; the result is in RAX, all other registers
 * keep their values. Only from CPL 0; elsewhere VMCALL raises #UD, as on a
 * processor without VMX. The built-in guest knows nothing else of the VMM.
 */
#ifndef VMM_HYPERCALL_H
#define VMM_HYPERCALL_H

/* CPUID leaf with the signature in EBX, ECX, EDX; EAX is the highest leaf of the range. */
#define MANFRED_CPUID_LEAF	0x40000000
#define MANFRED_CPUID_SIGNATURE "ManfredManfr"

enum hypercall {
	HYPERCALL_NOP = 0, /* does nothing: for measuring */
	HYPERCALL_CONSOLE_WRITE =
		1,	   /* RBX: guest-physical address, RCX: bytes; to the log as they are */
	HYPERCALL_END = 2, /* RBX: 0 ok, else failed. The guest ends here. */
	HYPERCALL_UNMAP_PAGE =
		3, /* RBX: guest-physical address; the next access exits and maps it again */
	HYPERCALL_INJECT = 4,	  /* RBX: VM-entry interruption information, RCX: error code,
				   * RDX: instruction length, RSI: CR2 or other event data */
	HYPERCALL_EXIT_COUNT = 5, /* RBX: basic exit reason; result: exits of this vcpu so far */
	HYPERCALL_TRACE = 6,	  /* print the newest exits */
	HYPERCALL_VMCS_DUMP = 7,  /* print the decoded VMCS */
};

/* Results in RAX, as signed numbers. */
#define HYPERCALL_OK	  0L
#define HYPERCALL_UNKNOWN (-1L)
#define HYPERCALL_INVALID (-2L)

#endif
