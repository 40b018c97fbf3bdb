/* One step of each model as a plain C loop: what the Rust kernel is measured against.
 * Two sets of planes with a ghost cell at both ends of each row; rows of whole vectors, so the inner loop has no border, no
 * remainder and one counter a lane. No intrinsics: the compiler vectorises it. f64 keeps the order of operations of the
 * kernel without fused multiply-adds; f32 is free to fuse and to regroup, which the kernel is not.
 * benches/step.rs compiles this once for vectors of 256 and once of 512 bits and drives both over pipes: a line
 * `MODEL PRECISION GRID STEPS` (a model 0..3, 32 or 64, a multiple of 16) is answered by nanoseconds of processor time per
 * step and what the counters show. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAD 16 /* ghosts are in the padding; keeps rows on cache lines */
#define LANES 16

typedef struct {
    long fired, clamped, non_finite;
} counts;

#define CLIP(x, low, high) ((x) < (low) ? (low) : (x) > (high) ? (high) : (x))

/* The kinetics: new v, a, i and whether the cell fired, from the old v, a, i and their Laplacians lv, la, li. */
#define MFN(T)                                                        \
    T na = a + ((T)0.1 * la + (T)0.01 * (a * ((T)1 - a) - i));        \
    T ni = i + ((T)0.05 * li + (T)0.02 * (a - i));                    \
    int hit = na > (T)0.75;                                           \
    T nv = v + (T)0.18 * lv;                                          \
    nv = hit ? nv + (T)0.005 : nv;                                    \
    na = CLIP(na, (T)0, (T)1);                                        \
    ni = CLIP(ni, (T)0, (T)1);

#define MEMBRANE(T, rest, gain) v + ((T)0.18 * lv + (T)0.1 * ((T)(rest) + (T)(gain)*a - v))

#define TURING(T)                                                     \
    T auto_ = a * a * i;                                              \
    T na = a + ((T)0.0175 * la + (T)0.025 * ((T)0.1 - a + auto_));    \
    T ni = i + ((T)0.2 * li + (T)0.025 * ((T)0.9 - auto_));           \
    T nv = MEMBRANE(T, -0.12, 0.05);                                  \
    na = CLIP(na, (T)0, (T)4);                                        \
    ni = CLIP(ni, (T)0, (T)1000);                                     \
    int hit = (na > (T)2) & (a <= (T)2);

#define EXCITABLE(T)                                                  \
    T cubic = a * ((T)1 - a) * (a - (i + (T)0.02) * (T)(1 / 0.75));   \
    T na = a + ((T)0.08 * la + (T)0.15 * cubic);                      \
    T ni = i + ((T)0 * li + (T)0.003 * (a - i));                      \
    T nv = MEMBRANE(T, -0.07, 0.1);                                   \
    na = CLIP(na, (T)0, (T)1);                                        \
    ni = CLIP(ni, (T)0, (T)1);                                        \
    int hit = (na > (T)0.5) & (a <= (T)0.5);

#define GRAY_SCOTT(T)                                                 \
    T auto_ = a * a * i;                                              \
    T na = a + ((T)0.1049 * la + (auto_ - (T)0.073 * a));             \
    T ni = i + ((T)0.2097 * li + ((T)0.018 * ((T)1 - i) - auto_));    \
    T nv = MEMBRANE(T, -0.07, 0.15);                                  \
    na = CLIP(na, (T)0, (T)0.55);                                     \
    ni = CLIP(ni, (T)0, (T)1);                                        \
    int hit = (na > (T)0.2) & (a <= (T)0.2);

#define ALIGNED(x) __builtin_assume_aligned(x, 64)
#define LAPLACIAN(T, p) ((((p##u[j] + p##d[j]) + p##h[j - 1]) + p##h[j + 1]) - (T)4 * p##h[j])
#define WRAP(p) (p[-1] = p[n - 1], p[n] = p[0])

/* `from` and `to` hold the planes v, a, i one after another; rows are n + 2 PAD apart. */
#define STEP(NAME, T, COUNT, OPTIONS, KINETICS)                                                              \
    __attribute__((noinline, optimize(OPTIONS))) static void NAME(const T *restrict from, T *restrict to,   \
                                                                  long n, counts *restrict total) {         \
        const long stride = n + 2 * PAD, plane = n * stride;                                                \
        COUNT fired[LANES] = {0}, clamped[LANES] = {0};                                                     \
        T probe[LANES] = {0};                                                                               \
        n &= ~(long)(LANES - 1);                                                                            \
        for (long r = 0; r < n; r++) {                                                                      \
            const long here = r * stride + PAD;                                                             \
            const long up = (r ? r - 1 : n - 1) * stride + PAD, down = (r + 1 < n ? r + 1 : 0) * stride + PAD; \
            const T *restrict vh = ALIGNED(from + here), *restrict vu = ALIGNED(from + up);                  \
            const T *restrict vd = ALIGNED(from + down), *restrict ah = ALIGNED(from + plane + here);        \
            const T *restrict au = ALIGNED(from + plane + up), *restrict ad = ALIGNED(from + plane + down);  \
            const T *restrict ih = ALIGNED(from + 2 * plane + here);                                         \
            const T *restrict iu = ALIGNED(from + 2 * plane + up);                                           \
            const T *restrict id = ALIGNED(from + 2 * plane + down);                                         \
            T *restrict vo = ALIGNED(to + here), *restrict ao = ALIGNED(to + plane + here);                  \
            T *restrict io = ALIGNED(to + 2 * plane + here);                                                 \
            for (long start = 0; start < n; start += LANES) {                                                \
                _Pragma("GCC ivdep") for (long lane = 0; lane < LANES; lane++) {                             \
                    const long j = start + lane;                                                             \
                    const T v = vh[j], a = ah[j], i = ih[j];                                                 \
                    const T lv = LAPLACIAN(T, v), la = LAPLACIAN(T, a), li = LAPLACIAN(T, i);                \
                    KINETICS(T)                                                                              \
                    probe[lane] += (nv + na) + ni;                                                           \
                    const T kept = CLIP(nv, (T)-0.095, (T)0.040);                                            \
                    fired[lane] += hit;                                                                      \
                    clamped[lane] += kept != nv;                                                             \
                    vo[j] = kept;                                                                            \
                    ao[j] = na;                                                                              \
                    io[j] = ni;                                                                              \
                }                                                                                            \
            }                                                                                                \
            WRAP(vo), WRAP(ao), WRAP(io);                                                                    \
        }                                                                                                    \
        for (int lane = 0; lane < LANES; lane++) {                                                           \
            double sum = (double)probe[lane];                                                                \
            uint64_t bits;                                                                                   \
            memcpy(&bits, &sum, sizeof bits);                                                                \
            total->fired += fired[lane];                                                                     \
            total->clamped += clamped[lane];                                                                 \
            total->non_finite += (bits >> 52 & 0x7ff) == 0x7ff;                                              \
        }                                                                                                    \
    }

#define FREE "finite-math-only,no-signed-zeros,no-trapping-math"
#define EXACT "fp-contract=off,finite-math-only,no-signed-zeros,no-trapping-math"
#define BOTH(NAME, KINETICS)                                                                                 \
    STEP(NAME##32, float, int32_t, FREE, KINETICS)                                                           \
    STEP(NAME##64, double, int64_t, EXACT, KINETICS)
BOTH(mfn, MFN)
BOTH(turing, TURING)
BOTH(excitable, EXCITABLE)
BOTH(gray_scott, GRAY_SCOTT)

static double noise(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Times `steps` steps from noise around `start`, after a few that warm the caches. */
#define RUN(NAME, T)                                                                                         \
    static void NAME(void (*step)(const T *, T *, long, counts *), const double start[3], long n, long steps) { \
        const long stride = n + 2 * PAD, cells = 3 * n * stride;                                             \
        counts total = {0, 0, 0};                                                                            \
        T *planes[2];                                                                                        \
        uint64_t state = 1;                                                                                  \
        for (int k = 0; k < 2; k++) {                                                                        \
            planes[k] = aligned_alloc(64, cells * sizeof(T));                                                \
            for (long at = 0; at < cells; at++)                                                              \
                planes[k][at] = (T)(start[at / (n * stride)] * (1 + 0.05 * noise(&state)));                  \
            for (T *row = planes[k] + PAD; row < planes[k] + cells; row += stride) WRAP(row);                \
        }                                                                                                    \
        for (int s = 0; s < 10; s++) step(planes[s & 1], planes[~s & 1], n, &total);                         \
        const double begin = now();                                                                          \
        for (long s = 0; s < steps; s++) step(planes[s & 1], planes[~s & 1], n, &total);                     \
        printf("%.1f %ld %ld %ld\n", (now() - begin) / steps, total.fired, total.clamped, total.non_finite); \
        fflush(stdout);                                                                                      \
        free(planes[0]), free(planes[1]);                                                                    \
    }
RUN(run32, float)
RUN(run64, double)

int main(void) {
    /* Far from any decay to 0, whose denormal numbers would be slow. */
    static const double starts[4][3] = {{-0.07, 0.05, 0.05}, {-0.07, 1, 0.9}, {-0.07, 0.5, 0.2}, {-0.07, 0.3, 0.4}};
    void (*const steps32[4])(const float *, float *, long, counts *) = {mfn32, turing32, excitable32, gray_scott32};
    void (*const steps64[4])(const double *, double *, long, counts *) = {mfn64, turing64, excitable64, gray_scott64};
    int model, precision;
    long n, steps;
    while (scanf("%d %d %ld %ld", &model, &precision, &n, &steps) == 4 && model >= 0 && model < 4 && n >= LANES &&
           n <= 512 && n % LANES == 0 && steps > 0) {
        if (precision == 64)
            run64(steps64[model], starts[model], n, steps);
        else
            run32(steps32[model], starts[model], n, steps);
    }
    return 0;
}
