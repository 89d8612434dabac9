/* A stand-in for libnvidia-ml.so.1 with two GPUs, so that pynvml's own ctypes path is tested.
 *
 * The file named by FAKE_NVML_STATE is read at every call; its lines switch things:
 *   nodriver          nvmlInit fails: driver not loaded
 *   count N           number of GPUs (2 without it)
 *   lost I            GPU I is lost; after a new nvmlInit it is not found any more
 *   nopower I         GPU I can't tell its power
 *   mig I             MIG is on: GPU I can't tell its utilisation
 * Built with -DOLD_DRIVER it lacks the newer entry points.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, NO_DRIVER = 9, LOST = 15 };

typedef struct { int index; } Gpu;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version, sensor; int temperature; } Temperature;

static Gpu gpus[8] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};
static const unsigned long long GIB = 1ULL << 30;

static int state(const char *word, int wanted, int fallback) {
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[128], name[64];
    int value, found = fallback;
    if (!file) return fallback;
    while (fgets(line, sizeof line, file)) {
        value = -1;
        if (sscanf(line, "%63s %d", name, &value) < 1 || strcmp(name, word)) continue;
        if (wanted < 0) { found = value; break; }
        if (value == wanted) { found = 1; break; }
    }
    fclose(file);
    return found;
}

static int has(const char *word, const Gpu *gpu) { return state(word, gpu->index, 0); }
static int check(const Gpu *gpu) { return has("lost", gpu) ? LOST : OK; }

int nvmlInitWithFlags(unsigned flags) { (void)flags; return state("nodriver", -1, 0) ? NO_DRIVER : OK; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }

const char *nvmlErrorString(int code) {
    switch (code) {
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case NO_DRIVER: return "Driver Not Loaded";
    case LOST: return "GPU is lost";
    default: return "Invalid Argument";
    }
}

int nvmlDeviceGetCount_v2(unsigned *count) { *count = (unsigned)state("count", -1, 2); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Gpu **gpu) {
    if ((int)index >= state("count", -1, 2)) return INVALID;
    *gpu = &gpus[index];
    return OK;
}

static void write_uuid(const Gpu *gpu, char *out, unsigned size) {
    snprintf(out, size, "GPU-0000000%d-aaaa-bbbb-cccc-dddddddddddd", gpu->index);
}

int nvmlDeviceGetUUID(Gpu *gpu, char *out, unsigned size) { write_uuid(gpu, out, size); return check(gpu); }

int nvmlDeviceGetHandleByUUID(const char *uuid, Gpu **gpu) {
    char own[96];
    for (int i = 0; i < state("count", -1, 2); i++) {
        write_uuid(&gpus[i], own, sizeof own);
        if (!strcmp(own, uuid)) {
            *gpu = &gpus[i];
            return has("lost", *gpu) ? NOT_FOUND : OK;
        }
    }
    return NOT_FOUND;
}

int nvmlDeviceGetName(Gpu *gpu, char *out, unsigned size) {
    snprintf(out, size, "Fake GPU %d", gpu->index);
    return check(gpu);
}

int nvmlDeviceGetMemoryInfo(Gpu *gpu, Memory *out) {
    out->total = 24 * GIB;
    out->used = (unsigned long long)(gpu->index + 1) * GIB + GIB / 2; /* with the reserve */
    out->free = out->total - out->used;
    return check(gpu);
}

int nvmlDeviceGetUtilizationRates(Gpu *gpu, Utilization *out) {
    if (has("mig", gpu)) return NOT_SUPPORTED;
    out->gpu = 50 + (unsigned)gpu->index;
    out->memory = 10;
    return check(gpu);
}

int nvmlDeviceGetTemperature(Gpu *gpu, unsigned sensor, unsigned *out) {
    (void)sensor;
    *out = 60 + (unsigned)gpu->index;
    return check(gpu);
}

int nvmlDeviceGetPowerUsage(Gpu *gpu, unsigned *milliwatts) {
    if (has("nopower", gpu)) return NOT_SUPPORTED;
    *milliwatts = 123456;
    return check(gpu);
}

int nvmlDeviceGetEnforcedPowerLimit(Gpu *gpu, unsigned *milliwatts) {
    *milliwatts = 350000;
    return check(gpu);
}

int nvmlDeviceGetMigMode(Gpu *gpu, unsigned *current, unsigned *pending) {
    *current = *pending = (unsigned)has("mig", gpu);
    return OK;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetMemoryInfo_v2(Gpu *gpu, Memory2 *out) {
    out->total = 24 * GIB;
    out->reserved = GIB / 2;
    out->used = (unsigned long long)(gpu->index + 1) * GIB;
    out->free = out->total - out->reserved - out->used;
    return check(gpu);
}

int nvmlDeviceGetTemperatureV(Gpu *gpu, Temperature *out) {
    out->temperature = 70 + gpu->index;
    return check(gpu);
}
#endif
