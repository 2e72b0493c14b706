// SPDX-License-Identifier: BSD-2-Clause
/* Rules of VM entry for the guest's segments and descriptor tables (SDM 3C, 28.3.1.2 and 28.3.1.3).
 */
#include "vmm/vmx/rule.h"

#define SELECTOR_RPL	3U
#define SELECTOR_TI	(1U << 2)
#define TYPE_ACCESSED	1U
#define TYPE_READABLE	2U /* of code */
#define TYPE_CODE	8U
#define TYPE_CONFORMING 4U /* of code */
#define TYPE_DATA	3U /* read/write, accessed, expand-up */
#define TYPE_LDT	2U
#define TYPE_TSS16	3U /* busy */
#define TYPE_TSS	11U

#define V86_LIMIT	  0xffffU
#define V86_ACCESS_RIGHTS 0xf3U

/* One segment register as the VMCS has it. */
struct segment_state {
	uint64_t selector, base, limit, rights;
	unsigned int type, dpl;
	bool usable;
};

static struct segment_state read_segment(const struct judged *v, enum segment s)
{
	const uint64_t rights = field(v, VMCS_SEGMENT(VMCS_GUEST_ES_ACCESS_RIGHTS, s));

	return (struct segment_state){
		.selector = field(v, VMCS_SEGMENT(VMCS_GUEST_ES_SELECTOR, s)),
		.base = field(v, VMCS_SEGMENT(VMCS_GUEST_ES_BASE, s)),
		.limit = field(v, VMCS_SEGMENT(VMCS_GUEST_ES_LIMIT, s)),
		.rights = rights,
		.type = ACCESS_RIGHTS_TYPE((unsigned int)rights),
		.dpl = (unsigned int)ACCESS_RIGHTS_DPL(rights),
		.usable = !(rights & ACCESS_RIGHTS_UNUSABLE),
	};
}

/* G is the unit of the limit: low bits all 1, or high bits all 0, follow from it. */
static bool is_limit(const struct segment_state *s)
{
	const bool pages = s->rights & ACCESS_RIGHTS_G;

	return ((s->limit & 0xfff) == 0xfff || !pages) && ((s->limit >> 20) == 0 || pages);
}

static bool is_v86_segment(const struct segment_state *s)
{
	return s->base == s->selector << 4 && s->limit == V86_LIMIT &&
	       s->rights == V86_ACCESS_RIGHTS;
}

static const char *check_v86(const struct judged *v)
{
	for (enum segment i = SEG_ES; i <= SEG_GS; i++) {
		const struct segment_state s = read_segment(v, i);

		RULE(is_v86_segment(&s),
		     "a segment of a virtual-8086 guest has another base, limit or access rights "
		     "than that mode");
	}
	return NULL;
}

/* Of a segment that is CS or usable. */
static const char *check_code_or_data(const struct segment_state *s)
{
	RULE((s->rights & ACCESS_RIGHTS_S) && (s->rights & ACCESS_RIGHTS_PRESENT) &&
		     !(s->rights & ACCESS_RIGHTS_RESERVED),
	     "a guest segment's access rights are not those of a present code or data segment");
	RULE(is_limit(s), "a guest segment's limit does not fit its granularity");
	return NULL;
}

static const char *check_cs(const struct judged *v)
{
	const struct segment_state cs = read_segment(v, SEG_CS), ss = read_segment(v, SEG_SS);
	const bool code = (cs.type & (TYPE_CODE | TYPE_ACCESSED)) == (TYPE_CODE | TYPE_ACCESSED);
	const char *const broken = check_code_or_data(&cs);

	if (broken)
		return broken;
	RULE(cs.base <= UINT32_MAX, "guest CS has a base above 4 GiB");
	RULE(code || (cs.type == TYPE_DATA && is_unrestricted(v)),
	     "guest CS is not an accessed code segment");
	RULE(code || cs.dpl == 0, "guest CS is a data segment with a DPL");
	RULE(!code || (cs.type & TYPE_CONFORMING ? cs.dpl <= ss.dpl : cs.dpl == ss.dpl),
	     "guest CS.DPL does not fit SS.DPL, which is the CPL");
	RULE(!is_ia32e_guest(v) || !(cs.rights & ACCESS_RIGHTS_L) ||
		     !(cs.rights & ACCESS_RIGHTS_DB),
	     "guest CS has both L and D");
	return NULL;
}

static const char *check_ss(const struct judged *v)
{
	const struct segment_state ss = read_segment(v, SEG_SS), cs = read_segment(v, SEG_CS);
	const bool ring0 = cs.type == TYPE_DATA || !has_bits(v, VMCS_GUEST_CR0, CR0_PE);

	RULE(is_unrestricted(v) || ((ss.selector ^ cs.selector) & SELECTOR_RPL) == 0,
	     "guest SS.RPL differs from CS.RPL");
	RULE(is_unrestricted(v) || ss.dpl == (ss.selector & SELECTOR_RPL),
	     "guest SS.DPL differs from SS.RPL");
	RULE(!ring0 || ss.dpl == 0, "guest SS has a DPL in real mode or with a data segment as CS");
	if (!ss.usable)
		return NULL;
	RULE((ss.type & 0xbU) == TYPE_DATA, "guest SS is not an accessed, writable data segment");
	RULE(ss.base <= UINT32_MAX, "guest SS has a base above 4 GiB");
	return check_code_or_data(&ss);
}

static const char *check_data_segment(const struct judged *v, enum segment i)
{
	const struct segment_state s = read_segment(v, i);
	const bool conforming =
		(s.type & (TYPE_CODE | TYPE_CONFORMING)) == (TYPE_CODE | TYPE_CONFORMING);

	/* In 64-bit mode FS and GS have their bases even when they are unusable. */
	RULE(i < SEG_FS || is_linear(v, s.base), "guest FS or GS has a base that is not canonical");
	if (!s.usable)
		return NULL;
	RULE(i >= SEG_FS || s.base <= UINT32_MAX, "guest DS or ES has a base above 4 GiB");
	RULE(s.type & TYPE_ACCESSED, "a guest data segment is not accessed");
	RULE(!(s.type & TYPE_CODE) || (s.type & TYPE_READABLE),
	     "a guest data segment is code that cannot be read");
	RULE(is_unrestricted(v) || conforming || s.dpl >= (s.selector & SELECTOR_RPL),
	     "a guest data segment's DPL is below its RPL");
	return check_code_or_data(&s);
}

static const char *check_tr(const struct judged *v)
{
	const struct segment_state tr = read_segment(v, SEG_TR);

	RULE(tr.usable && !(tr.rights & ACCESS_RIGHTS_S) && (tr.rights & ACCESS_RIGHTS_PRESENT) &&
		     !(tr.rights & ACCESS_RIGHTS_RESERVED) &&
		     (tr.type == TYPE_TSS || (tr.type == TYPE_TSS16 && !is_ia32e_guest(v))),
	     "guest TR is not a busy TSS");
	RULE(!(tr.selector & SELECTOR_TI), "guest TR is in the LDT");
	RULE(is_limit(&tr), "guest TR's limit does not fit its granularity");
	RULE(is_linear(v, tr.base), "guest TR has a base that is not canonical");
	return NULL;
}

static const char *check_ldtr(const struct judged *v)
{
	const struct segment_state ldtr = read_segment(v, SEG_LDTR);

	if (!ldtr.usable)
		return NULL;
	RULE(ldtr.type == TYPE_LDT && !(ldtr.rights & ACCESS_RIGHTS_S) &&
		     (ldtr.rights & ACCESS_RIGHTS_PRESENT) &&
		     !(ldtr.rights & ACCESS_RIGHTS_RESERVED),
	     "guest LDTR is not an LDT");
	RULE(!(ldtr.selector & SELECTOR_TI), "guest LDTR is in the LDT");
	RULE(is_limit(&ldtr), "guest LDTR's limit does not fit its granularity");
	RULE(is_linear(v, ldtr.base), "guest LDTR has a base that is not canonical");
	return NULL;
}

static const char *check_descriptor_tables(const struct judged *v)
{
	RULE(is_linear_field(v, VMCS_GUEST_GDTR_BASE),
	     "guest GDTR has a base that is not canonical");
	RULE(is_linear_field(v, VMCS_GUEST_IDTR_BASE),
	     "guest IDTR has a base that is not canonical");
	RULE(field(v, VMCS_GUEST_GDTR_LIMIT) <= UINT16_MAX, "guest GDTR has a limit above 16 bits");
	RULE(field(v, VMCS_GUEST_IDTR_LIMIT) <= UINT16_MAX, "guest IDTR has a limit above 16 bits");
	return NULL;
}

static const char *check_code_and_data(const struct judged *v)
{
	static const enum segment data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	const char *broken;

	if ((broken = check_cs(v)) || (broken = check_ss(v)))
		return broken;
	for (size_t i = 0; i < LENGTH_OF(data); i++)
		if ((broken = check_data_segment(v, data[i])))
			return broken;
	return NULL;
}

const char *rules_of_guest_segments(const struct judged *v)
{
	const bool v86 = has_bits(v, VMCS_GUEST_RFLAGS, RFLAGS_VM);
	const char *broken = v86 ? check_v86(v) : check_code_and_data(v);

	if (!broken)
		broken = check_tr(v);
	if (!broken)
		broken = check_ldtr(v);
	return broken ? broken : check_descriptor_tables(v);
}
