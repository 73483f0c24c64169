/* Samples on standard input, float frames on standard output: driver int16|float BLOCK
 *
 * BLOCK 0 takes the clip whole, a negative one blocks of random lengths (0 to 699 samples) with that number as seed.
 * Exit 3: the clip is too short.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "earnest_frontend.h"

static EarnestFrontend frontend;

static void print(void *context, const float *features)
{
    ++*(int32_t *)context;
    fwrite(features, sizeof *features, EARNEST_FEATURES, stdout);
}

static int stream(int whole, const char *samples, size_t count, long block)
{
    int32_t frames = 0;
    unsigned seed = (unsigned)-block;
    earnest_frontend_start(&frontend, print, &frames);
    for (size_t start = 0, size; start < count; start += size) {
        seed = seed * 1664525u + 1013904223u;
        size = block < 0 ? (seed >> 8) % 700 : (size_t)block;
        size = size < count - start ? size : count - start;
        if (whole)
            earnest_frontend_push_int16(&frontend, (const int16_t *)(const void *)samples + start, size);
        else
            earnest_frontend_push_float(&frontend, (const float *)(const void *)samples + start, size);
    }
    return earnest_frontend_finish(&frontend) ? (frames ? 4 : 3) : 0;
}

static int clip(int whole, const char *samples, size_t count)
{
    const int32_t room = (int32_t)count + 2 * EARNEST_N_FFT;
    float *features = malloc((size_t)room * EARNEST_FEATURES * sizeof *features);
    const int32_t frames =
        whole ? earnest_frontend_clip_int16(&frontend, (const int16_t *)(const void *)samples, count, features, room)
              : earnest_frontend_clip_float(&frontend, (const float *)(const void *)samples, count, features, room);
    if (frames > 0)
        fwrite(features, EARNEST_FEATURES * sizeof *features, (size_t)frames, stdout);
    free(features);
    return frames < 0 ? 3 : frames == EARNEST_FRAMES_FOR((int32_t)count) ? 0 : 5;
}

int main(int given, char **arguments)
{
    if (given != 3)
        return 2;
    const int whole = !strcmp(arguments[1], "int16");
    const long block = strtol(arguments[2], NULL, 10);
    size_t bytes = 0, room = 1 << 16;
    char *samples = malloc(room);
    for (size_t more; (more = fread(samples + bytes, 1, room - bytes, stdin)) > 0; bytes += more)
        if (bytes + more == room)
            samples = realloc(samples, room *= 2);
    const size_t count = bytes / (whole ? sizeof(int16_t) : sizeof(float));
    const int status = block ? stream(whole, samples, count, block) : clip(whole, samples, count);
    free(samples);
    return status;
}
