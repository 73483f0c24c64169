/* The path of a frame, from top to bottom:
 *
 *     samples - load -> windowed - transform -> spectrum - power -> bins - project -> bands - compress -> log bands
 *             - cosine -> cepstra - difference -> with deltas - give -> normalised features
 *
 * Steps that a recipe does without are left out by the settings. Names and numbers are those of Earnest's Python.
 */
#include "earnest_frontend.h"

#include <math.h>
#include <string.h>

#include "frontend_tables.h"

#define HALF (EARNEST_WIDTH / 2)

/* A negative right padding leaves out the last frames: each frame then waits for as many samples more. */
#define DELAY (EARNEST_RIGHT < 0 ? -(EARNEST_RIGHT) : 0)

/* Fails to compile where the number of bytes in frontend_settings.h is not what this compiler lays out. */
typedef char earnest_state_has_its_size
    [sizeof(EarnestFrontend) - 2 * sizeof(void *) - (EARNEST_STATE_BYTES - 8) < sizeof(void *) ? 1 : -1];

#if EARNEST_REMOVE_DC || EARNEST_ENERGY
static float mean_of(const float *samples)
{
    float sum = 0.0f;
    for (int n = 0; n < EARNEST_WINDOW; n++)
        sum += samples[n];
    return sum / EARNEST_WINDOW;
}
#endif

/* Mean removal, pre-emphasis and window; a pair of real samples becomes a complex one where n_fft is even. */
static void load(const float *samples, EarnestComplex *spectrum)
{
    float mean = 0.0f;
#if EARNEST_REMOVE_DC
    mean = mean_of(samples);
#endif
    memset(spectrum, 0, EARNEST_POINTS * sizeof *spectrum);
    float before = samples[0] - mean;
    for (int n = 0; n < EARNEST_WINDOW; n++) {
        const float sample = samples[n] - mean;
        const float change = EARNEST_PRE_EMPHASIS != 0.0f ? sample - EARNEST_PRE_EMPHASIS * before : sample;
        const float value = change * earnest_window[n];
        before = sample;
#if EARNEST_N_FFT % 2
        spectrum[earnest_positions[n]].re = value;
#else
        if (n % 2)
            spectrum[earnest_positions[n / 2]].im = value;
        else
            spectrum[earnest_positions[n / 2]].re = value;
#endif
    }
}

static EarnestComplex add(EarnestComplex a, EarnestComplex b)
{
    return (EarnestComplex){a.re + b.re, a.im + b.im};
}

static EarnestComplex subtract(EarnestComplex a, EarnestComplex b)
{
    return (EarnestComplex){a.re - b.re, a.im - b.im};
}

static EarnestComplex multiply(EarnestComplex a, EarnestComplex b)
{
    return (EarnestComplex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* A transform of `radix` values that lie `step` apart, each first turned by its multiple of the angle `turn`. */
static void butterfly(EarnestFrontend *state, EarnestComplex *values, int radix, int step, int turn)
{
    (void)state;
    if (radix == 4) {
        const EarnestComplex first = multiply(values[step], earnest_roots[turn]);
        const EarnestComplex second = multiply(values[2 * step], earnest_roots[2 * turn]);
        const EarnestComplex third = multiply(values[3 * step], earnest_roots[3 * turn]);
        const EarnestComplex sum = add(values[0], second), difference = subtract(values[0], second);
        const EarnestComplex odd = add(first, third), change = subtract(first, third);
        values[0] = add(sum, odd);
        values[step] = (EarnestComplex){difference.re + change.im, difference.im - change.re};
        values[2 * step] = subtract(sum, odd);
        values[3 * step] = (EarnestComplex){difference.re - change.im, difference.im + change.re};
    } else if (radix == 2) {
        const EarnestComplex other = multiply(values[step], earnest_roots[turn]);
        values[step] = subtract(values[0], other);
        values[0] = add(values[0], other);
    }
#if EARNEST_LARGEST_PRIME > 2
    else {
        const int circle = EARNEST_POINTS / radix;
        for (int n = 0; n < radix; n++)
            state->scratch[n] = multiply(values[n * step], earnest_roots[n * turn]);
        for (int k = 0; k < radix; k++) {
            EarnestComplex sum = state->scratch[0];
            for (int n = 1, angle = k; n < radix; n++, angle = (angle + k) % radix)
                sum = add(sum, multiply(state->scratch[n], earnest_roots[angle * circle]));
            values[k * step] = sum;
        }
    }
#endif
}

/* The complex Fourier transform in place, by decimation in time with mixed radices; `load` has put values in order. */
static void transform(EarnestFrontend *state)
{
    int length = 1;
    for (int stage = 0; stage < EARNEST_STAGES; stage++) {
        const int radix = earnest_factors[stage], joined = length * radix;
        for (int start = 0; start < EARNEST_POINTS; start += joined)
            for (int n = 0; n < length; n++)
                butterfly(state, state->work.spectrum + start + n, radix, length, n * (EARNEST_POINTS / joined));
        length = joined;
    }
}

/* |spectrum| to the power of EARNEST_POWER, of bins 0 ... n_fft / 2, in the place of the spectrum. */
static void power(EarnestFrontend *state)
{
    EarnestComplex *spectrum = state->work.spectrum;
    float *bins = state->work.power;
#if EARNEST_N_FFT % 2
    for (int k = 0; k < EARNEST_BINS; k++)
        bins[k] = spectrum[k].re * spectrum[k].re + spectrum[k].im * spectrum[k].im;
#else
    /* The spectra of even and odd samples, from which those of k and of POINTS - k are made together. */
    float last = 0.0f;
    for (int k = 0; k <= EARNEST_POINTS / 2; k++) {
        const int mirror = k ? EARNEST_POINTS - k : 0;
        const EarnestComplex a = spectrum[k], b = {spectrum[mirror].re, -spectrum[mirror].im};
        const EarnestComplex twice_even = add(a, b), twice_odd = {a.im - b.im, b.re - a.re};
        const EarnestComplex turned = multiply(twice_odd, earnest_half_roots[k]);
        const EarnestComplex near = add(twice_even, turned), far = subtract(twice_even, turned);
        spectrum[mirror].re = 0.25f * (far.re * far.re + far.im * far.im);
        if (k == 0)
            last = spectrum[0].re;
        spectrum[k].re = 0.25f * (near.re * near.re + near.im * near.im);
    }
    for (int k = 0; k < EARNEST_POINTS; k++)
        bins[k] = spectrum[k].re;
    bins[EARNEST_POINTS] = last;
#endif
    if (EARNEST_POWER != 2.0f)
        for (int k = 0; k < EARNEST_BINS; k++) {
            const float bin = bins[k] < 1e-30f ? 1e-30f : bins[k];
            bins[k] = EARNEST_POWER == 1.0f ? sqrtf(bin) : powf(bin, EARNEST_POWER / 2.0f);
        }
}

#if EARNEST_MEL
/* Mel bands: each is a weighted sum of neighbouring bins. */
static void project(const float *bins, float *bands)
{
    const float *weight = earnest_weights;
    for (int band = 0; band < EARNEST_BANDS; band++) {
        float sum = 0.0f;
        for (int k = 0; k < earnest_band_bins[band]; k++)
            sum += *weight++ * bins[earnest_band_starts[band] + k];
        bands[band] = sum;
    }
}
#endif

static float compress(float energy)
{
#if EARNEST_LOG
    if (EARNEST_CLAMP)
        energy = energy < EARNEST_FLOOR ? EARNEST_FLOOR : energy;
    else
        energy += EARNEST_FLOOR;
    energy = logf(energy) * EARNEST_LOG_SCALE;
#endif
    return (energy + EARNEST_OFFSET) * EARNEST_FACTOR;
}

#if EARNEST_CEPSTRA
/* Cosine transform and lifter of the log bands. */
static void cosine(const float *bands, float *cepstra)
{
    for (int n = 0; n < EARNEST_CEPSTRA; n++) {
        float sum = 0.0f;
        for (int band = 0; band < EARNEST_BANDS; band++)
            sum += earnest_cosines[n * EARNEST_BANDS + band] * bands[band];
        cepstra[n] = sum;
    }
}
#endif

#if EARNEST_ENERGY
/* The logarithm of the frame's own energy: mean removed, before pre-emphasis and window. */
static float log_energy(const float *samples)
{
    const float mean = mean_of(samples);
    float sum = 0.0f;
    for (int n = 0; n < EARNEST_WINDOW; n++) {
        const float sample = (samples[n] - mean) * EARNEST_SCALE;
        sum += sample * sample;
    }
    return logf(sum < EARNEST_FLOOR ? EARNEST_FLOOR : sum);
}
#endif

/* Normalises a frame and hands it over: its static values, and the changes that stand in the state. */
static void give(EarnestFrontend *state, const float *statics)
{
    for (int n = 0; n < EARNEST_FEATURES; n++) {
        float value;
#if EARNEST_ORDER > 1
        value = n < EARNEST_STATICS ? statics[n] : state->changes[n - EARNEST_STATICS];
#else
        value = statics[n];
#endif
        state->features[n] = (value - earnest_mean[n]) * earnest_inverse_deviation[n];
    }
    state->frame(state->context, state->features);
}

#if EARNEST_ORDER > 1
/* Appends a row to the last EARNEST_WIDTH ones; the first of all stands for those before it, too. */
static void append(float *rows, const float *row, int first)
{
    float *last = rows + (EARNEST_WIDTH - 1) * EARNEST_STATICS;
    memmove(rows, rows + EARNEST_STATICS, (EARNEST_WIDTH - 1) * EARNEST_STATICS * sizeof *rows);
    memmove(last, row, EARNEST_STATICS * sizeof *rows);
    for (int k = 0; first && k < EARNEST_WIDTH - 1; k++)
        memcpy(rows + k * EARNEST_STATICS, last, EARNEST_STATICS * sizeof *rows);
}

static void correlate(const float *rows, const float *kernel, float *change)
{
    for (int n = 0; n < EARNEST_STATICS; n++) {
        float sum = 0.0f;
        for (int k = 0; k < EARNEST_WIDTH; k++)
            sum += kernel[k] * rows[k * EARNEST_STATICS + n];
        change[n] = sum;
    }
}

/* Takes the static values in `features`, or, `beyond` the end by so many frames, once more the last ones; gives a frame
 * as soon as the frames that its differences look at are there. */
static void difference(EarnestFrontend *state, int beyond)
{
    const float *row = beyond ? state->statics + (EARNEST_WIDTH - 1) * EARNEST_STATICS : state->features;
    append(state->statics, row, state->frames == 0);
    if (state->frames <= EARNEST_WIDTH)
        state->frames++;
#if EARNEST_SAVGOL
    /* The first frames take their differences from the first full fit. */
    if (state->frames < EARNEST_WIDTH)
        return;
    for (int degree = 1; degree < EARNEST_ORDER; degree++)
        correlate(state->statics, earnest_differences + (degree - 1) * EARNEST_WIDTH,
                  state->changes + (degree - 1) * EARNEST_STATICS);
    for (int k = state->frames == EARNEST_WIDTH ? 0 : HALF; k <= HALF; k++)
        give(state, state->statics + k * EARNEST_STATICS);
#else
    if (state->frames <= HALF)
        return;
    correlate(state->statics, earnest_differences, state->changes);
#if EARNEST_ORDER == 2
    give(state, state->statics + HALF * EARNEST_STATICS);
#else
    const float *delta = beyond > HALF ? state->deltas + (EARNEST_WIDTH - 1) * EARNEST_STATICS : state->changes;
    append(state->deltas, delta, state->frames == HALF + 1);
    if (state->frames <= 2 * HALF)
        return;
    memcpy(state->changes, state->deltas + HALF * EARNEST_STATICS, EARNEST_STATICS * sizeof *state->changes);
    correlate(state->deltas, earnest_differences, state->changes + EARNEST_STATICS);
    give(state, state->statics);
#endif
#endif
}

/* Gives the frames that were waiting for others to come. */
static void last_differences(EarnestFrontend *state)
{
#if EARNEST_SAVGOL
    for (int k = HALF + 1; k < EARNEST_WIDTH; k++)
        give(state, state->statics + k * EARNEST_STATICS);
#else
    for (int beyond = 1; beyond <= (EARNEST_ORDER - 1) * HALF; beyond++)
        difference(state, beyond);
#endif
}
#endif

/* The whole path of the frame that begins at samples[0]. */
static void complete(EarnestFrontend *state)
{
    float *bands = state->work.power;
    load(state->samples, state->work.spectrum);
    transform(state);
    power(state);
#if EARNEST_MEL
    project(state->work.power, state->bands);
    bands = state->bands;
#endif
    for (int band = 0; band < EARNEST_BANDS; band++)
        bands[band] = compress(bands[band]);
#if EARNEST_CEPSTRA
    cosine(bands, state->features);
#else
    memcpy(state->features, bands, EARNEST_BANDS * sizeof *bands);
#endif
#if EARNEST_ENERGY
    state->features[0] = log_energy(state->samples);
#endif
#if EARNEST_ORDER > 1
    difference(state, 0);
#else
    give(state, state->features);
#endif
}

/* One sample of the padded audio. */
static void push(EarnestFrontend *state, float sample)
{
    if (state->filled < 0) {
        state->before = sample;
        state->filled++;
        return;
    }
    state->samples[state->filled++] = sample;
#if EARNEST_REFLECT
    if (!state->mirrored) {
        if (state->filled < 2 * EARNEST_LEFT + 1)
            return;
        for (int n = 1; n <= EARNEST_LEFT; n++)
            state->samples[EARNEST_LEFT - n] = state->samples[EARNEST_LEFT + n];
        state->mirrored = 1;
    }
#endif
    while (state->filled >= EARNEST_WINDOW + DELAY) {
        complete(state);
        state->filled -= EARNEST_HOP;
#if EARNEST_HOP <= EARNEST_BUFFER
        if (state->filled >= 0) {
            state->before = state->samples[EARNEST_HOP - 1];
            memmove(state->samples, state->samples + EARNEST_HOP, (size_t)state->filled * sizeof *state->samples);
        }
#endif
    }
}

static void hear(EarnestFrontend *state, float sample)
{
    if (state->heard < EARNEST_MIN_SAMPLES)
        state->heard++;
    push(state, sample);
}

void earnest_frontend_start(EarnestFrontend *state, EarnestFrame *frame, void *context)
{
    memset(state, 0, sizeof *state);
    state->frame = frame;
    state->context = context;
    state->filled = EARNEST_LEFT;
}

void earnest_frontend_push_int16(EarnestFrontend *state, const int16_t *samples, size_t count)
{
    for (size_t n = 0; n < count; n++)
        hear(state, (float)samples[n] * (1.0f / 32768.0f));
}

void earnest_frontend_push_float(EarnestFrontend *state, const float *samples, size_t count)
{
    for (size_t n = 0; n < count; n++)
        hear(state, samples[n]);
}

int earnest_frontend_finish(EarnestFrontend *state)
{
    if (state->heard < EARNEST_MIN_SAMPLES)
        return -1;
    for (int n = 0; n < EARNEST_RIGHT; n++) {
        float sample = 0.0f;
#if EARNEST_REFLECT
        /* The sample as far before the last one. What lies before the buffer but for one is in no frame any more. */
        const int32_t place = state->filled - 2 - 2 * n;
        sample = place >= 0 ? state->samples[place] : state->before;
#endif
        push(state, sample);
    }
#if EARNEST_ORDER > 1
    last_differences(state);
#endif
    return 0;
}

/* Where the frames of a clip go. */
typedef struct {
    float *features;
    int32_t frames, room;
} Clip;

static void keep(void *context, const float *features)
{
    Clip *clip = context;
    if (clip->frames < clip->room)
        memcpy(clip->features + (size_t)clip->frames * EARNEST_FEATURES, features, EARNEST_FEATURES * sizeof *features);
    clip->frames++;
}

int32_t earnest_frontend_clip_int16(EarnestFrontend *state, const int16_t *samples, size_t count, float *features,
                                    int32_t frames)
{
    Clip clip = {features, 0, frames};
    earnest_frontend_start(state, keep, &clip);
    earnest_frontend_push_int16(state, samples, count);
    return earnest_frontend_finish(state) ? -1 : clip.frames;
}

int32_t earnest_frontend_clip_float(EarnestFrontend *state, const float *samples, size_t count, float *features,
                                    int32_t frames)
{
    Clip clip = {features, 0, frames};
    earnest_frontend_start(state, keep, &clip);
    earnest_frontend_push_float(state, samples, count);
    return earnest_frontend_finish(state) ? -1 : clip.frames;
}
