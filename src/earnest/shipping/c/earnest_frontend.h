/* Audio to features, one frame at a time, with the numbers of one recipe (frontend_settings.h, frontend_tables.h).
 *
 *     static EarnestFrontend frontend;
 *     static void on_frame(void *context, const float *features) { ... EARNEST_FEATURES values ... }
 *
 *     earnest_frontend_start(&frontend, on_frame, NULL);
 *     for (;;) { read(block); earnest_frontend_push_int16(&frontend, block, BLOCK); }
 *
 * C99 with <math.h> and <string.h>, no heap. Everything it needs lies in the EarnestFrontend and in constant tables, so
 * several streams may run side by side, each with its own. How audio is cut into blocks changes nothing at all.
 */
#ifndef EARNEST_FRONTEND_H
#define EARNEST_FRONTEND_H

#include <stddef.h>
#include <stdint.h>

#include "frontend_settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes one frame: EARNEST_FEATURES normalised values, which are overwritten by the next frame. */
typedef void EarnestFrame(void *context, const float *features);

typedef struct {
    float re, im;
} EarnestComplex;

/* All that a stream remembers: EARNEST_STATE_BYTES, where a pointer has four bytes. */
typedef struct {
    EarnestFrame *frame;
    void *context;
    int32_t heard;  /* samples, counted up to EARNEST_MIN_SAMPLES */
    int32_t filled; /* of `samples`; below zero, so many samples are still to be left out (hop > window) */
    int32_t mirrored;
    float before;                  /* the sample before samples[0] */
    float samples[EARNEST_BUFFER]; /* padded audio, from the start of the next frame on */
    union {
        EarnestComplex spectrum[EARNEST_POINTS];
        float power[EARNEST_BINS];
    } work;
#if EARNEST_LARGEST_PRIME > 2
    EarnestComplex scratch[EARNEST_LARGEST_PRIME];
#endif
#if EARNEST_MEL
    float bands[EARNEST_BANDS];
#endif
    float features[EARNEST_FEATURES];
#if EARNEST_ORDER > 1
    int32_t frames;                                        /* counted up to EARNEST_WIDTH + 1 */
    float statics[EARNEST_WIDTH * EARNEST_STATICS];        /* the last frames before differences, oldest first */
    float changes[(EARNEST_ORDER - 1) * EARNEST_STATICS];  /* of the frame to be given: delta, delta-delta */
#if EARNEST_ORDER == 3 && !EARNEST_SAVGOL
    float deltas[EARNEST_WIDTH * EARNEST_STATICS];
#endif
#endif
} EarnestFrontend;

/* Begins a stream or a clip; whatever the state held is forgotten. */
void earnest_frontend_start(EarnestFrontend *state, EarnestFrame *frame, void *context);

/* Takes any number of samples, full scale 32768 or 1.0, and gives every frame that they complete. */
void earnest_frontend_push_int16(EarnestFrontend *state, const int16_t *samples, size_t count);
void earnest_frontend_push_float(EarnestFrontend *state, const float *samples, size_t count);

/* Ends the audio: gives the frames that reach beyond it. Afterwards the state must be started anew.
 * 0, or -1 where fewer than EARNEST_MIN_SAMPLES samples came, and no frame has been given. */
int earnest_frontend_finish(EarnestFrontend *state);

/* A whole clip: writes up to `frames` frames, EARNEST_FEATURES values each, one after the other.
 * The number of frames of the clip, EARNEST_FRAMES_FOR(count), or -1 as above. */
int32_t earnest_frontend_clip_int16(EarnestFrontend *state, const int16_t *samples, size_t count, float *features,
                                    int32_t frames);
int32_t earnest_frontend_clip_float(EarnestFrontend *state, const float *samples, size_t count, float *features,
                                    int32_t frames);

#ifdef __cplusplus
}
#endif

#endif
