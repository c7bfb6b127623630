/* How many instructions a second one core executes: float32 and bfloat16 multiply-adds of AVX-512.

   Prints one line of JSON for each round asked for, null for what the processor does not have:
   {"vfmadd231ps": 5.5e9, "vdpbf16ps": 1.3e9}

   Each instruction has 24 accumulators, more than its latency times what starts in a cycle, so that it is
   the number of units and not the latency that is measured. */

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOPS 10000000L
#define ACCUMULATORS 24

/* The operands are zmm30 and zmm31, which are zero: neither slow nor infinite, however often added up. */
#define ONE(name, to) name " %%zmm30, %%zmm31, %%zmm" #to "\n\t"
#define EIGHT(name, a, b, c, d, e, f, g, h) \
    ONE(name, a) ONE(name, b) ONE(name, c) ONE(name, d) ONE(name, e) ONE(name, f) ONE(name, g) ONE(name, h)
#define ALL(name)                                                                        \
    EIGHT(name, 0, 1, 2, 3, 4, 5, 6, 7) EIGHT(name, 8, 9, 10, 11, 12, 13, 14, 15)         \
    EIGHT(name, 16, 17, 18, 19, 20, 21, 22, 23)
/* Compiled for any x86-64, nothing else uses the registers from 16 on. */
#define USED                                                                             \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",      \
    "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15"
#define ZERO                                                                             \
    "vpxord %%zmm30, %%zmm30, %%zmm30\n\tvpxord %%zmm31, %%zmm31, %%zmm31\n\t"
#define REPEAT(name)                                                                     \
    __asm__ volatile(ZERO "1:\n\t" ALL(name) "dec %0\n\tjnz 1b" : "+r"(left) : : "cc", USED)

static sigjmp_buf unknown;

static void on_unknown(int number) {
    (void)number;
    siglongjmp(unknown, 1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

static void fma_loop(void) {
    long left = LOOPS;
    REPEAT("vfmadd231ps");
}

static void dot_loop(void) {
    long left = LOOPS;
    REPEAT("vdpbf16ps");
}

static void show(const char *name, void (*loop)(void)) {
    if (sigsetjmp(unknown, 1)) {
        printf("\"%s\": null", name);
        return;
    }
    double start = now();
    loop();
    printf("\"%s\": %.4g", name, LOOPS * (double)ACCUMULATORS / (now() - start));
}

int main(int count, char **words) {
    signal(SIGILL, on_unknown);
    for (int left = count > 1 ? atoi(words[1]) : 1; left > 0; left--) {
        printf("{");
        show("vfmadd231ps", fma_loop);
        printf(", ");
        show("vdpbf16ps", dot_loop);
        printf("}\n");
    }
    return 0;
}
