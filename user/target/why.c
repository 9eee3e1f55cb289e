/* SPDX-License-Identifier: Apache-2.0 */
#include "target/target.h"

static const char *const texts[TARGET_WHYS] = {
    [TARGET_WHY_NONE] = "",
    [TARGET_WHY_NO_TEXT] = "no .text section",
    [TARGET_WHY_MACHINE] = "code of an unknown processor",
    [TARGET_WHY_NO_COMMON] = "no common internal function",
    [TARGET_WHY_ARGUMENTS] = "the arguments of the common internal function cannot be told",
    [TARGET_WHY_VERSION_UNKNOWN] = "unknown version",
    [TARGET_WHY_VERSION_DISAGREES] =
        "version and code disagree on the arguments of the common internal function",
    [TARGET_WHY_COMMON_STEPPED] = "the common internal function's first instruction is single-stepped too",
    [TARGET_WHY_RET_STEPPED] = "Go allows no return probes, and its `ret` instructions are single-stepped",
    [TARGET_WHY_ONE_FORM] = "this library has no other form of them",
    [TARGET_WHY_NO_EXTENT] = "it is not known where the function ends",
    [TARGET_WHY_TOO_LONG] = "too much code to look at",
    [TARGET_WHY_UNDECODED] = "an instruction of it is not known",
    [TARGET_WHY_MISALIGNED] = "data lies between its instructions",
    [TARGET_WHY_INDIRECT] = "cannot tell where it returns: it ends with an indirect jump",
    [TARGET_WHY_TAIL_PLT] = "cannot tell where it returns: it ends with a jump into another library",
    [TARGET_WHY_TOO_DEEP] = "it jumps from function to function",
    [TARGET_WHY_TOO_MANY] = "it returns at too many places",
    [TARGET_WHY_NO_RETURN] = "it has no return instruction",
    [TARGET_WHY_REFERENCED] = "it may be called from places that are not known",
    [TARGET_WHY_STACK_ARGUMENTS] =
        "built by a Go that passes arguments on the stack: before 1.17, on arm64 1.18",
    [TARGET_WHY_NO_PROLOGUE] = "crypto/tls does not begin as Go's compiler lets functions begin",
    [TARGET_WHY_NO_METHODS] = "the table of its methods was not found, or is not the only one",
    [TARGET_WHY_NOT_FOUND] = "its functions were not recognised",
    [TARGET_WHY_SEVERAL] = "several functions look like one of its functions",
    [TARGET_WHY_ANOTHER] = "functions of the same form were found of another library",
    [TARGET_WHY_LAYOUT] = "its objects have another form than is known",
};

const char *target_why_text(enum target_why why)
{
	return (unsigned)why < TARGET_WHYS ? texts[why] : "unknown reason";
}
