// What warpgroups do, on the processor: beside cuda_on_host.h, for kernels that have them.
#define __CUDA_ARCH_FEAT_SM90_ALL

// What wgmma.m64nNk16 adds up: warp w of four has rows 16*w to 16*w + 15 of the sums, as in mma. A
// matrix is read from swizzled lines of 128 bytes: its first address, the bytes from eight lines to
// the next eight, and where rows lie side by side those from 64 of them to the next 64.
struct Matrix {
  uintptr_t first;
  unsigned across, down;
  const unsigned short *at(unsigned row, unsigned term, bool aside) const {
    uintptr_t place = first + (aside ? row / 64 * across + term / 8 * down + term % 8 * 128 + row % 64 * 2
                                     : row / 8 * down + row % 8 * 128 + term * 2);
    return (const unsigned short *)(place ^ (place >> 7 & 7) << 4);
  }
};
static std::vector<Matrix> matrices;
static uint64_t describe_matrix(const void *first, unsigned across, unsigned down) {
  if ((uintptr_t)first % 16 != 0 || across % 16 != 0 || down % 16 != 0) abort();
  matrices.push_back({(uintptr_t)first, across, down});
  return matrices.size() - 1;
}

// Products that a thread has begun, in groups: what they read stays as it is until they have ended,
// and nobody touches the sums.
struct Product {
  Matrix left, right;
  unsigned columns, sides;
  uint64_t was;
  uint64_t read() const {  // about the elements that it reads
    uint64_t found = 0;
    const unsigned warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    for (unsigned k = 0; k < 16; k++) {
      for (unsigned half = 0; half < 2; half++)
        found = found * 31 + *left.at(warp * 16 + lane / 4 + 8 * half, k, sides / 10);
      for (unsigned at = 0; at < columns / 4; at++)
        found = found * 31 + *right.at(at / 2 * 8 + lane % 4 * 2 + at % 2, k, sides % 10);
    }
    return found;
  }
};
static std::vector<std::vector<Product>> products_of[1024];
static std::vector<std::pair<float *, float>> sums_of[1024];
static bool begun[1024];

static void begin_products() {
  begun[threadIdx.x] = true;
  products_of[threadIdx.x].emplace_back();
}
static void commit_products() { begun[threadIdx.x] = false; }

template <float value(unsigned short), unsigned columns, unsigned sides>
void multiply_warpgroup(float *upper, float *lower, uint64_t left, uint64_t right) {
  const unsigned warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  if (!begun[threadIdx.x] || !shown[threadIdx.x]) abort();
  Product product = {matrices[left], matrices[right], columns, sides, 0};
  product.was = product.read();
  auto &sums = sums_of[threadIdx.x];
  sums.clear();
  for (unsigned at = 0; at < columns / 2; at++) {
    float &sum = (at % 2 ? lower : upper)[at / 2];
    for (unsigned k = 0; k < 16; k++) {
      const auto *a = product.left.at(warp * 16 + lane / 4 + 8 * (at % 2), k, sides / 10);
      const auto *b = product.right.at(at / 4 * 8 + lane % 4 * 2 + at / 2 % 2, k, sides % 10);
      sum = fmaf(value(*a), value(*b), sum);
    }
    sums.push_back({&sum, sum});
  }
  products_of[threadIdx.x].back().push_back(product);
}
#define MULTIPLY_WARPGROUP(sides, number)                                                              \
  static const auto multiply_warpgroup_float16_128_##sides = multiply_warpgroup<convert_half, 128, number>; \
  static const auto multiply_warpgroup_bfloat16_128_##sides = multiply_warpgroup<convert_bfloat16, 128, number>;
MULTIPLY_WARPGROUP(00, 0)
MULTIPLY_WARPGROUP(01, 1)
MULTIPLY_WARPGROUP(10, 10)
MULTIPLY_WARPGROUP(11, 11)

template <size_t running>
void end_products() {
  auto &groups = products_of[threadIdx.x];
  if (begun[threadIdx.x]) abort();  // what was not committed is not waited for
  if (!groups.empty())
    for (const auto &[sum, value] : sums_of[threadIdx.x])
      if (bits<unsigned>(*sum) != bits<unsigned>(value)) abort();
  for (; groups.size() > running; groups.erase(groups.begin()))
    for (const auto &product : groups.front())
      if (product.read() != product.was) abort();
}
static const auto end_products_but_0 = end_products<0>;
static const auto end_products_but_1 = end_products<1>;
static void settle_sum(float *sum) {
  if (!products_of[threadIdx.x].empty()) abort();
}
