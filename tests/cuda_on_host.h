// CUDA C on the processor: one block after another, its threads as coroutines that meet at barriers.
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <utility>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __syncthreads meet

struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

struct Place {
  unsigned x;
};
static Place blockIdx, threadIdx;

template <class To, class From>
To bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "of the same width");
  To result;
  memcpy(&result, &value, sizeof result);
  return result;
}
static unsigned __float_as_uint(float x) { return bits<unsigned>(x); }
static float __uint_as_float(unsigned x) { return bits<float>(x); }
static float __int_as_float(int x) { return bits<float>(x); }
static long long __double_as_longlong(double x) { return bits<long long>(x); }
static double __longlong_as_double(long long x) { return bits<double>(x); }

static float convert_half(unsigned short x) { return bits<_Float16>(x); }
static unsigned short convert_half(float x) { return bits<unsigned short>((_Float16)x); }

enum State { READY, AT_BLOCK, AT_WARP, ENDED };
static ucontext_t scheduler;
static std::vector<ucontext_t> threads_of_block;
static std::vector<State> states;

static void wait(State state) {
  states[threadIdx.x] = state;
  swapcontext(&threads_of_block[threadIdx.x], &scheduler);
}
static void meet() { wait(AT_BLOCK); }
static void __syncwarp() { wait(AT_WARP); }

static char handed[1024][8];

template <class T>
T of_lane(T value, unsigned lane) {
  memcpy(handed[threadIdx.x], &value, sizeof value);
  __syncwarp();
  memcpy(&value, handed[threadIdx.x / 32 * 32 + lane], sizeof value);
  __syncwarp();
  return value;
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned distance) {
  const unsigned lane = threadIdx.x % 32;
  return of_lane(value, lane + distance < 32 ? lane + distance : lane);
}
template <class T>
T __shfl_sync(unsigned mask, T value, unsigned lane) {
  return of_lane(value, lane);
}

#define __CUDA_ARCH__ 900

// What mma.m16n8k16 adds up: row r and term k of the left matrix are in thread 4*(r%8) + k%8/2 of the
// warp, column c and term k of the right one in thread 4*c + k%8/2. In mma.m16n8k8 it is k%4.
struct Parts {
  unsigned left[4], right[2];
};
static Parts parts_of[1024];

static float convert_bfloat16(unsigned short x) { return bits<float>((unsigned)x << 16); }

template <float value(unsigned short)>
void multiply_matrices(float *upper, float *lower, const unsigned *left, const unsigned *right) {
  const unsigned first = threadIdx.x / 32 * 32, lane = threadIdx.x % 32;
  memcpy(parts_of[threadIdx.x].left, left, sizeof(Parts::left));
  memcpy(parts_of[threadIdx.x].right, right, sizeof(Parts::right));
  __syncwarp();
  for (unsigned half = 0; half < 2; half++)
    for (unsigned column = 0; column < 2; column++) {
      float &sum = (half ? lower : upper)[column];
      for (unsigned k = 0; k < 16; k++) {
        const unsigned pair = k % 8 / 2, shift = k % 2 * 16;
        const Parts &row = parts_of[first + lane / 4 * 4 + pair];
        const Parts &other = parts_of[first + (lane % 4 * 2 + column) * 4 + pair];
        const unsigned x = row.left[k / 8 * 2 + half] >> shift & 0xffff;
        const unsigned y = other.right[k / 8] >> shift & 0xffff;
        sum = fmaf(value(x), value(y), sum);
      }
    }
  __syncwarp();
}
static const auto multiply_matrices_float16 = multiply_matrices<convert_half>;
static const auto multiply_matrices_bfloat16 = multiply_matrices<convert_bfloat16>;

// To the nearest tf32, of two the one further from zero; there is one NaN.
template <unsigned count>
void round_matrices(unsigned *parts) {
  for (unsigned at = 0; at < count; at++) {
    const unsigned rest = parts[at] & 0x7fffffff;
    if (rest > 0x7f800000) parts[at] = 0x7fffffff;
    if (rest < 0x7f800000) parts[at] = (parts[at] + 0x1000) & ~0x1fffu;
  }
}
static const auto round_matrices_2 = round_matrices<2>;
static const auto round_matrices_4 = round_matrices<4>;

static float value_of_tf32(unsigned x) {
  if ((x & 0x7fffffff) <= 0x7f800000 && x % 0x2000 != 0) abort();  // it was not rounded
  return bits<float>(x);
}

static void multiply_matrices_tf32(
    float *upper, float *lower, const unsigned *left, const unsigned *right) {
  const unsigned first = threadIdx.x / 32 * 32, lane = threadIdx.x % 32;
  memcpy(parts_of[threadIdx.x].left, left, sizeof(Parts::left));
  memcpy(parts_of[threadIdx.x].right, right, sizeof(Parts::right));
  __syncwarp();
  for (unsigned half = 0; half < 2; half++)
    for (unsigned column = 0; column < 2; column++) {
      float &sum = (half ? lower : upper)[column];
      for (unsigned k = 0; k < 8; k++) {
        const Parts &row = parts_of[first + lane / 4 * 4 + k % 4];
        const Parts &other = parts_of[first + (lane % 4 * 2 + column) * 4 + k % 4];
        sum = fmaf(value_of_tf32(row.left[k / 4 * 2 + half]), value_of_tf32(other.right[k / 4]), sum);
      }
    }
  __syncwarp();
}

// What ldmatrix gives a thread: of each 8 by 8 matrix, whose rows eight threads point to, two elements
// of a row side by side, or of a column.
static const unsigned short *rows_of[1024];

template <unsigned count, bool transposed>
void load_matrices(unsigned *parts, const void *row) {
  const unsigned first = threadIdx.x / 32 * 32, lane = threadIdx.x % 32;
  if ((uintptr_t)row % 16 != 0) abort();
  rows_of[threadIdx.x] = (const unsigned short *)row;
  __syncwarp();
  for (unsigned matrix = 0; matrix < count; matrix++) {
    const unsigned short **rows = rows_of + first + 8 * matrix;
    unsigned short pair[2];
    for (unsigned k = 0; k < 2; k++) {
      const unsigned across = lane % 4 * 2 + k, down = lane / 4;
      pair[k] = transposed ? rows[across][down] : rows[down][across];
    }
    memcpy(&parts[matrix], pair, sizeof pair);
  }
  __syncwarp();
}
static const auto load_matrices_2 = load_matrices<2, false>;
static const auto load_matrices_4 = load_matrices<4, false>;
static const auto load_matrices_transposed_2 = load_matrices<2, true>;
static const auto load_matrices_transposed_4 = load_matrices<4, true>;

// Copies that have begun, in groups that threads wait for; nothing has arrived before it must have.
struct Copy {
  void *to;
  const void *from;
  size_t size;
  bool is_read;
};
static std::vector<std::vector<Copy>> copies_of[1024];
static bool shown[1024];  // whether units see what a thread has copied
static void show_copies() { shown[threadIdx.x] = true; }

template <size_t size>
void begin_copy(void *to, const void *from, bool is_read) {
  if ((uintptr_t)to % size != 0 || (is_read && (uintptr_t)from % size != 0)) abort();
  auto &groups = copies_of[threadIdx.x];
  if (groups.empty()) groups.emplace_back();
  groups.back().push_back({to, from, size, is_read});
}
static const auto begin_copy_4 = begin_copy<4>;
static const auto begin_copy_8 = begin_copy<8>;
static const auto begin_copy_16 = begin_copy<16>;

template <size_t pending>
void end_copies() {
  auto &groups = copies_of[threadIdx.x];
  while (groups.size() > pending) {
    shown[threadIdx.x] = shown[threadIdx.x] && groups.front().empty();
    for (const Copy &copy : groups.front())
      copy.is_read ? memcpy(copy.to, copy.from, copy.size) : memset(copy.to, 0, copy.size);
    groups.erase(groups.begin());
  }
  groups.emplace_back();
}
static const auto end_copies_but_0 = end_copies<0>;
static const auto end_copies_but_1 = end_copies<1>;

struct Call {
  virtual void run() = 0;
};
static Call *current;
static void begin() {
  current->run();
  states[threadIdx.x] = ENDED;
}

template <class... P>
struct Kernel : Call {
  void (*function)(P...);
  void **arguments;
  Kernel(void (*function)(P...), void **arguments) : function(function), arguments(arguments) {}
  void run() { apply(std::index_sequence_for<P...>()); }
  template <size_t... I>
  void apply(std::index_sequence<I...>) {
    function(*static_cast<P *>(arguments[I])...);
  }
};

// Lets threads that all wait for the same go on; false where they do not.
static bool release(unsigned from, unsigned to, State state) {
  for (unsigned t = from; t < to; t++)
    if (states[t] != state) return false;
  for (unsigned t = from; t < to; t++) states[t] = READY;
  return true;
}

// Returns 1 where a barrier is met by some threads of a block or warp and not by others.
static int run_block(unsigned count, std::vector<char> &stacks, size_t stack) {
  threads_of_block.resize(count);
  states.assign(count, READY);
  for (unsigned t = 0; t < count; t++) {
    getcontext(&threads_of_block[t]);
    threads_of_block[t].uc_stack.ss_sp = &stacks[t * stack];
    threads_of_block[t].uc_stack.ss_size = stack;
    threads_of_block[t].uc_link = &scheduler;
    makecontext(&threads_of_block[t], begin, 0);
  }
  for (bool more = true; more;) {
    for (unsigned t = 0; t < count; t++) {
      threadIdx.x = t;
      if (states[t] == READY) swapcontext(&scheduler, &threads_of_block[t]);
    }
    more = release(0, count, AT_BLOCK);
    for (unsigned t = 0; t < count; t += 32) more |= release(t, t + 32 < count ? t + 32 : count, AT_WARP);
  }
  return !release(0, count, ENDED);
}

template <class... P>
int launch(void (*function)(P...), unsigned blocks, unsigned threads, void **arguments) {
  const size_t stack = 64 << 10;
  Kernel<P...> kernel(function, arguments);
  std::vector<char> stacks(threads * stack);
  current = &kernel;
  for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
    if (run_block(threads, stacks, stack)) return 1;
  return 0;
}
