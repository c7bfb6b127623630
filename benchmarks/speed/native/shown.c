/* Has CPUID name AVX512_BF16 in the process that this is preloaded into.

   Hypervisors leave instructions out of what CPUID tells their guests; those that need no state of their own
   are executed all the same. oneDNN asks CPUID. Linux lets a process have its own CPUID instructions raise
   SIGSEGV (arch_prctl, ARCH_SET_CPUID), which are answered here with the truth and that bit.

   For processors that execute the instructions; on others the process ends with SIGILL. */

#define _GNU_SOURCE
#include <cpuid.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define FEATURES 7
#define AVX512_BF16 (1u << 5) /* EAX of the features' second leaf */

typedef int (*Install)(int, const struct sigaction *, struct sigaction *);

static struct sigaction others; /* whoever else asked for SIGSEGV, as frameworks do to show where they failed */

static int install(int number, const struct sigaction *action, struct sigaction *before) {
    static Install real;
    if (!real) real = (Install)dlsym(RTLD_NEXT, "sigaction");
    return real(number, action, before);
}

/* Keeps SIGSEGV here, and what everyone else wants to do on it for errors. */
int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
    if (number != SIGSEGV) return install(number, action, before);
    if (before) *before = others;
    if (action) others = *action;
    return 0;
}

static int allow(long allowed) {
    return syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed) == 0;
}

static void answer(int number, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)registers[REG_RIP];
    unsigned a, b, c, d, leaf = registers[REG_RAX], part = registers[REG_RCX];
    (void)info;
    if (at[0] != 0x0f || at[1] != 0xa2) { /* no CPUID: an error as any other, at the next attempt */
        install(number, &others, NULL);
        return;
    }
    allow(1);
    __cpuid_count(leaf, part, a, b, c, d);
    allow(0);
    if (leaf == FEATURES && part == 0 && a < 1) a = 1; /* there is a second leaf */
    if (leaf == FEATURES && part == 1) a |= AVX512_BF16;
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

__attribute__((constructor)) static void start(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = answer;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    install(SIGSEGV, &action, &others);
    if (!allow(0)) {
        perror("this system does not let a process answer for CPUID");
        _exit(1);
    }
}
