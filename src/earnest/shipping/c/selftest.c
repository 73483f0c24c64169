/* Does this compiler, on this machine, give the features that the model was trained on? On a computer:
 *
 *     cc -std=c99 -O2 selftest.c earnest_frontend.c -lm -o selftest && ./selftest
 *
 * golden.h holds samples and the features that Earnest's Python makes of them. Here they go through as a whole clip and
 * as a stream, in blocks of several lengths. The exit status is 0 where all is well.
 */
#include <math.h>
#include <stdio.h>

#include "earnest_frontend.h"
#include "golden.h"

#define LIMIT 1e-3f /* in normalised units: a thousandth of a feature's standard deviation */

static EarnestFrontend frontend;
static float features[GOLDEN_FRAMES * EARNEST_FEATURES];

typedef struct {
    int frames;
    float largest;
} Comparison;

static void compare(void *context, const float *frame)
{
    Comparison *comparison = context;
    const int start = comparison->frames++ * EARNEST_FEATURES;
    for (int n = 0; comparison->frames <= GOLDEN_FRAMES && n < EARNEST_FEATURES; n++) {
        const float difference = fabsf(frame[n] - golden_features[start + n]);
        if (!(difference <= comparison->largest))
            comparison->largest = isnan(difference) ? INFINITY : difference;
    }
}

static int report(const char *name, int block, Comparison comparison)
{
    const int good = comparison.frames == GOLDEN_FRAMES && comparison.largest <= LIMIT;
    printf("%s %d: %d of %d frames, largest difference %.2e: %s\n", name, block, comparison.frames, GOLDEN_FRAMES,
           (double)comparison.largest, good ? "good" : "WRONG");
    return good;
}

int main(void)
{
    static const int blocks[] = {1, 7, 160, 1000, GOLDEN_SAMPLES};
    Comparison comparison = {0, 0.0f};
    const int32_t frames =
        earnest_frontend_clip_int16(&frontend, golden_samples, GOLDEN_SAMPLES, features, GOLDEN_FRAMES);
    for (int n = 0; n < frames && n < GOLDEN_FRAMES; n++)
        compare(&comparison, features + n * EARNEST_FEATURES);
    comparison.frames = frames;
    int good = report("clip", GOLDEN_SAMPLES, comparison);
    for (int n = 0; n < (int)(sizeof blocks / sizeof *blocks); n++) {
        comparison = (Comparison){0, 0.0f};
        earnest_frontend_start(&frontend, compare, &comparison);
        for (int start = 0; start < GOLDEN_SAMPLES; start += blocks[n]) {
            const int rest = GOLDEN_SAMPLES - start, block = blocks[n] < rest ? blocks[n] : rest;
            earnest_frontend_push_int16(&frontend, golden_samples + start, (size_t)block);
        }
        good = earnest_frontend_finish(&frontend) == 0 && report("blocks of", blocks[n], comparison) && good;
    }
    printf("%d bytes of state, %d bytes of tables\n", EARNEST_STATE_BYTES, EARNEST_TABLE_BYTES);
    return good ? 0 : 1;
}
