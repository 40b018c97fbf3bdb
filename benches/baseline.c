/* The fused V + a + i step of model mfn, f32, periodic: the C loop the Rust kernel is measured against.
 * One pass, two buffers, the interior of each row in a vectorised loop of its own. benches/step.rs builds it with
 * `cc -O3 -march=native` and drives it over pipes: a line `GRID STEPS` is answered by nanoseconds of CPU time per step. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CELL(L, R)                                                                          \
    {                                                                                       \
        float lv = ((vu[j] + vd[j]) + v[L]) + v[R] - 4.0f * v[j];                           \
        float la = ((au[j] + ad[j]) + a[L]) + a[R] - 4.0f * a[j];                           \
        float li = ((iu[j] + id[j]) + i[L]) + i[R] - 4.0f * i[j];                           \
        float na = a[j] + (0.1f * la + 0.01f * (a[j] * (1.0f - a[j]) - i[j]));              \
        float ni = i[j] + (0.05f * li + 0.02f * (a[j] - i[j]));                             \
        float nv = v[j] + 0.18f * lv;                                                       \
        int hit = na > 0.75f;                                                               \
        nv += hit ? 0.005f : 0.0f;                                                          \
        float cv = nv < -0.095f ? -0.095f : nv;                                             \
        cv = cv > 0.040f ? 0.040f : cv;                                                     \
        f += hit;                                                                           \
        c += cv != nv;                                                                      \
        w[j] = cv;                                                                          \
        na = na < 0.0f ? 0.0f : na;                                                         \
        b[j] = na > 1.0f ? 1.0f : na;                                                       \
        ni = ni < 0.0f ? 0.0f : ni;                                                         \
        k[j] = ni > 1.0f ? 1.0f : ni;                                                       \
    }

static void row(size_t n, const float *restrict vu, const float *restrict v, const float *restrict vd,
                const float *restrict au, const float *restrict a, const float *restrict ad,
                const float *restrict iu, const float *restrict i, const float *restrict id,
                float *restrict w, float *restrict b, float *restrict k, int *fired, int *clamped) {
    int f = 0, c = 0;
    size_t j = 0;
    CELL(n - 1, 1)
    for (j = 1; j < n - 1; j++) CELL(j - 1, j + 1)
    CELL(j - 1, 0)
    *fired += f;
    *clamped += c;
}

/* One step of n x n cells from v, a, i into w, b, k. */
void fused_step(size_t n, const float *v, const float *a, const float *i, float *w, float *b, float *k,
                long *fired, long *clamped) {
    int f = 0, c = 0;
    for (size_t r = 0; r < n; r++) {
        size_t h = r * n, u = (r ? r - 1 : n - 1) * n, d = (r + 1 < n ? r + 1 : 0) * n;
        row(n, v + u, v + h, v + d, a + u, a + h, a + d, i + u, i + h, i + d, w + h, b + h, k + h, &f, &c);
    }
    *fired += f;
    *clamped += c;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(void) {
    size_t n, last = 0;
    long steps, fired = 0, clamped = 0;
    float *p[6] = {0};
    while (scanf("%zu %ld", &n, &steps) == 2 && n >= 8 && n <= 512 && steps > 0) {
        for (int k = 0; n != last && k < 6; k++) {
            free(p[k]);
            p[k] = aligned_alloc(64, n * n * sizeof(float));
            for (size_t j = 0; j < n * n; j++)
                p[k][j] = k % 3 == 0 ? -0.07f + 0.0001f * (rand() % 100) : 0.001f * (rand() % 100);
        }
        last = n;
        double start = now();
        for (long s = 0; s < steps; s++) {
            fused_step(n, p[0], p[1], p[2], p[3], p[4], p[5], &fired, &clamped);
            for (int k = 0; k < 3; k++) {
                float *x = p[k];
                p[k] = p[k + 3];
                p[k + 3] = x;
            }
        }
        printf("%.1f %ld\n", (now() - start) / steps, fired + clamped);
        fflush(stdout);
    }
    return 0;
}
