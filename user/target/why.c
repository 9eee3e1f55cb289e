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
};

const char *target_why_text(enum target_why why)
{
	return (unsigned)why < TARGET_WHYS ? texts[why] : "unknown reason";
}
