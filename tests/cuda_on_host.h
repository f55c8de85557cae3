// CUDA C on the processor: one block after another, its threads as coroutines that meet at barriers.
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include <utility>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(threads)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __syncthreads meet

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

static ucontext_t scheduler;
static std::vector<ucontext_t> threads_of_block;
static unsigned arrived;

static void meet() {
  arrived++;
  swapcontext(&threads_of_block[threadIdx.x], &scheduler);
}

#define __CUDA_ARCH__ 900

// What mma.m16n8k16 adds up: row r and term k of the left matrix are in thread 4*(r%8) + k%8/2 of the
// warp, column c and term k of the right one in thread 4*c + k%8/2.
struct Parts {
  unsigned left[4], right[2];
};
static Parts parts_of[1024];

static float value_of_float16(unsigned half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  const float size = exponent == 31 ? (fraction ? NAN : INFINITY)
      : exponent ? ldexpf(1024 + fraction, exponent - 25) : ldexpf(fraction, -24);
  return half & 0x8000 ? -size : size;
}
static float value_of_bfloat16(unsigned half) { return bits<float>(half << 16); }

template <float value(unsigned)>
void multiply_matrices(float *upper, float *lower, const unsigned *left, const unsigned *right) {
  const unsigned first = threadIdx.x / 32 * 32, lane = threadIdx.x % 32;
  memcpy(parts_of[threadIdx.x].left, left, sizeof(Parts::left));
  memcpy(parts_of[threadIdx.x].right, right, sizeof(Parts::right));
  meet();
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
  meet();
}
static const auto multiply_matrices_float16 = multiply_matrices<value_of_float16>;
static const auto multiply_matrices_bfloat16 = multiply_matrices<value_of_bfloat16>;

struct Call {
  virtual void run() = 0;
};
static Call *current;
static void begin() { current->run(); }

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

// Returns 1 where a barrier is met by some threads of a block and not by others.
static int run_block(unsigned count, std::vector<char> &stacks, size_t stack) {
  threads_of_block.resize(count);
  for (unsigned t = 0; t < count; t++) {
    getcontext(&threads_of_block[t]);
    threads_of_block[t].uc_stack.ss_sp = &stacks[t * stack];
    threads_of_block[t].uc_stack.ss_size = stack;
    threads_of_block[t].uc_link = &scheduler;
    makecontext(&threads_of_block[t], begin, 0);
  }
  do {
    arrived = 0;
    for (unsigned t = 0; t < count; t++) {
      threadIdx.x = t;
      swapcontext(&scheduler, &threads_of_block[t]);
    }
    if (arrived != 0 && arrived != count) return 1;
  } while (arrived != 0);
  return 0;
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
