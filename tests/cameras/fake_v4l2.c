/* A camera device for a machine without one: preloaded into a process, it answers what that asks of
 * /dev/video-fake as a kernel driver would, by the kernel's own definitions. FAKE_V4L2 names how it behaves:
 * good, uvc, eof, noclock, yuyv, small, padded, damaged, stall, unplug, mplane, busy. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 4
static int device = -1, streaming, asked;
static struct v4l2_pix_format pix;
static uint32_t length, stride, sequence, delivered;
static int64_t started_ns, period_ns = 33333333;
static int queued[BUFFERS], queued_count;
static struct { uint32_t index, sequence; int64_t at_ns; } done[BUFFERS];
static int done_count;

static int is(const char *how) {
    const char *given = getenv("FAKE_V4L2");
    return given && !strcmp(given, how);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Fills buffers with the frames that are due; what finds no empty buffer is lost, as in a real driver. */
static void run_camera(void) {
    while (streaming && started_ns + (sequence + 1) * period_ns <= now_ns()) {
        if (is("stall") && sequence >= 3) return;
        if (queued_count) {
            uint8_t *memory = mmap(0, length, PROT_WRITE, MAP_SHARED, device, (off_t)queued[0] * length);
            for (uint32_t row = 0; row < pix.height; row++) {
                memset(memory + row * stride, 0xEE, stride);
                uint32_t bytes = pix.width * (pix.pixelformat == V4L2_PIX_FMT_Y16 ? 2 : 1);
                memset(memory + row * stride, (row + sequence) & 0xFF, bytes);
            }
            munmap(memory, length);
            done[done_count].index = queued[0];
            done[done_count].sequence = sequence;
            done[done_count++].at_ns = started_ns + (sequence + 1) * period_ns;
            memmove(queued, queued + 1, sizeof(int) * --queued_count);
        }
        sequence++;
    }
}

static int fail(int code) {
    errno = code;
    return -1;
}

static int opened(const char *path) {
    if (strcmp(path, "/dev/video-fake")) return 0;
    device = memfd_create("video", 0);
    streaming = sequence = delivered = queued_count = done_count = 0;
    return 1;
}

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    int mode = va_arg(list, int);
    va_end(list);
    if (opened(path)) return device;
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    return real(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    int mode = va_arg(list, int);
    va_end(list);
    if (opened(path)) return device;
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
    return real(path, flags, mode);
}

static int dequeue(struct v4l2_buffer *b) {
    run_camera();
    if (is("unplug") && delivered >= 3) return fail(ENODEV);
    if (!done_count) return fail(EAGAIN);
    b->index = done[0].index;
    b->sequence = done[0].sequence;
    b->timestamp.tv_sec = done[0].at_ns / 1000000000LL;
    b->timestamp.tv_usec = done[0].at_ns % 1000000000LL / 1000;
    b->bytesused = pix.sizeimage;
    b->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    b->flags |= is("eof") ? V4L2_BUF_FLAG_TSTAMP_SRC_EOF : V4L2_BUF_FLAG_TSTAMP_SRC_SOE;
    if (is("noclock")) b->flags = V4L2_BUF_FLAG_TIMESTAMP_UNKNOWN;
    if (is("damaged") && done[0].sequence % 2) b->flags |= V4L2_BUF_FLAG_ERROR;
    memmove(done, done + 1, sizeof(done[0]) * --done_count);
    delivered++;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    struct v4l2_capability *capability = argument;
    struct v4l2_format *format = argument;
    struct v4l2_streamparm *parm = argument;
    struct v4l2_requestbuffers *buffers = argument;
    struct v4l2_buffer *b = argument;
    switch (request) {
    case VIDIOC_QUERYCAP:
        memset(capability, 0, sizeof *capability);
        strcpy((char *)capability->driver, is("uvc") ? "uvcvideo" : "fake");
        strcpy((char *)capability->card, "Fake camera");
        capability->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE;
        capability->device_caps = V4L2_CAP_STREAMING;
        capability->device_caps |= is("mplane") ? V4L2_CAP_VIDEO_CAPTURE_MPLANE : V4L2_CAP_VIDEO_CAPTURE;
        return 0;
    case VIDIOC_S_FMT:
        if (is("busy")) return fail(EBUSY);
        if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        if (is("yuyv")) format->fmt.pix.pixelformat = V4L2_PIX_FMT_YUYV;
        if (is("small")) format->fmt.pix.width = 32, format->fmt.pix.height = 24;
        pix = format->fmt.pix;
        stride = pix.width * (pix.pixelformat == V4L2_PIX_FMT_Y16 ? 2 : 1) + (is("padded") ? 64 : 0);
        pix.bytesperline = stride;
        pix.sizeimage = stride * pix.height;
        length = (pix.sizeimage + 4095) / 4096 * 4096;
        format->fmt.pix = pix;
        return 0;
    case VIDIOC_S_PARM:
        period_ns = 1000000000LL * parm->parm.capture.timeperframe.numerator /
                    parm->parm.capture.timeperframe.denominator;
        return 0;
    case VIDIOC_REQBUFS:
        if (buffers->memory != V4L2_MEMORY_MMAP) return fail(EINVAL);
        asked = buffers->count = BUFFERS;
        return ftruncate(device, (off_t)length * BUFFERS);
    case VIDIOC_QUERYBUF:
        if (b->index >= (uint32_t)asked) return fail(EINVAL);
        b->length = length;
        b->m.offset = b->index * length;
        return 0;
    case VIDIOC_QBUF:
        run_camera();
        if (b->index >= BUFFERS || queued_count + done_count >= BUFFERS) return fail(EINVAL);
        queued[queued_count++] = b->index;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(b);
    case VIDIOC_STREAMON:
        if (*(int *)argument != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        streaming = 1;
        started_ns = now_ns();
        return 0;
    }
    return fail(ENOTTY);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list list;
    va_start(list, request);
    void *argument = va_arg(list, void *);
    va_end(list);
    if (fd == device && device >= 0) return answer(request & 0xFFFFFFFF, argument);
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}

int poll(struct pollfd *fds, nfds_t count, int timeout_ms) {
    if (count != 1 || fds[0].fd != device || device < 0) {
        int (*real)(struct pollfd *, nfds_t, int) = dlsym(RTLD_NEXT, "poll");
        return real(fds, count, timeout_ms);
    }
    int64_t until_ns = now_ns() + timeout_ms * 1000000LL;
    for (;;) {
        run_camera();
        fds[0].revents = is("unplug") && delivered >= 3 ? POLLERR : done_count ? POLLIN : 0;
        if (fds[0].revents) return 1;
        if (now_ns() >= until_ns) return 0;
        usleep(1000);
    }
}
