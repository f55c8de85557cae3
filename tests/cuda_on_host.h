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
