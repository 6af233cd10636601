// Operators of libtorch that `tch` does not bind, and the convolutions of DCGAN on a CPU.
#include "shim.h"

#include <cstdint>

#include <ATen/Parallel.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/leaky_relu.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

// Compiled thrice, for what the processor may have; the loader picks.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

inline float widen(uint16_t half) {
  uint32_t bits = static_cast<uint32_t>(half) << 16;
  float number;
  std::memcpy(&number, &bits, 4);
  return number;
}

// Rounds to the nearest, ties to even; a number that is none stays none because its quiet bit is set.
inline uint16_t narrow(float number) {
  uint32_t bits;
  std::memcpy(&bits, &number, 4);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  return static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16) | 0x40 : rounded);
}

WIDE void sum_of_four(const float *a, const float *b, const float *c, const float *d, float *to, int64_t n) {
  for (int64_t at = 0; at < n; ++at) to[at] = (a[at] + b[at]) + (c[at] + d[at]);
}

WIDE void sum_of_four(const uint16_t *a, const uint16_t *b, const uint16_t *c, const uint16_t *d, uint16_t *to, int64_t n) {
  for (int64_t at = 0; at < n; ++at) to[at] = narrow((widen(a[at]) + widen(b[at])) + (widen(c[at]) + widen(d[at])));
}

// A map of h × w pixels and what lies under the kernel (4 × 4, stride 2, padding 1) at each place of the map of half its sides.
struct Sides {
  int64_t batch, height, width, channels;

  int64_t rows() const { return batch * (height / 2) * (width / 2); }
  int64_t columns() const { return 16 * channels; }
};

// map [B, h, w, C] → patches [B · h/2 · w/2, 4 · 4 · C]
template <typename T>
void gather(const T *map, T *patches, Sides s) {
  const int64_t half = s.height / 2, wide = s.width / 2, row = 4 * s.channels;
  at::parallel_for(0, s.batch * half, 8, [&](int64_t begin, int64_t end) {
    for (int64_t line = begin; line < end; ++line) {
      const int64_t b = line / half, i = line % half;
      for (int64_t j = 0; j < wide; ++j) {
        T *to = patches + (line * wide + j) * 4 * row;
        for (int64_t k = 0; k < 4; ++k, to += row) {
          const int64_t y = 2 * i - 1 + k, x = 2 * j - 1;
          if (y < 0 || y >= s.height) {
            std::memset(to, 0, row * sizeof(T));
            continue;
          }
          const int64_t first = x < 0 ? 1 : 0, last = x + 4 > s.width ? 3 : 4;
          if (first > 0) std::memset(to, 0, s.channels * sizeof(T));
          if (last < 4) std::memset(to + 3 * s.channels, 0, s.channels * sizeof(T));
          std::memcpy(to + first * s.channels, map + ((b * s.height + y) * s.width + x + first) * s.channels, (last - first) * s.channels * sizeof(T));
        }
      }
    }
  });
}

// The mirror of `gather`: every pixel is the sum of the four patches it lies in.
template <typename T>
void scatter(const T *patches, T *map, Sides s) {
  const int64_t half = s.height / 2, wide = s.width / 2, c = s.channels;
  at::parallel_for(0, s.batch * s.height, 8, [&](int64_t begin, int64_t end) {
    std::vector<T> nothing(c, T(0));
    for (int64_t line = begin; line < end; ++line) {
      const int64_t b = line / s.height, y = line % s.height;
      for (int64_t x = 0; x < s.width; ++x) {
        const T *part[4];
        for (int64_t at = 0; at < 4; ++at) {
          // Kernel rows of one parity reach this row: k and i with 2 i − 1 + k = y.
          const int64_t k = (y + 1) % 2 + 2 * (at / 2), l = (x + 1) % 2 + 2 * (at % 2);
          const int64_t i = (y + 1 - k) / 2, j = (x + 1 - l) / 2;
          const bool outside = y + 1 < k || x + 1 < l || i >= half || j >= wide;
          part[at] = outside ? nothing.data() : patches + (((b * half + i) * wide + j) * 16 + 4 * k + l) * c;
        }
        sum_of_four(part[0], part[1], part[2], part[3], map + (line * s.width + x) * c, c);
      }
    }
  });
}

Sides sides(const at::Tensor &map) { return {map.size(0), map.size(2), map.size(3), map.size(1)}; }

// [B, C, h, w] with channels last in memory, as [B · h · w, C].
at::Tensor as_rows(const at::Tensor &map) { return map.permute({0, 2, 3, 1}).reshape({-1, map.size(1)}); }

// A kernel [A, B, 4, 4] with channels last in memory, as [A, 16 B].
at::Tensor as_matrix(const at::Tensor &kernel) { return kernel.permute({0, 2, 3, 1}).reshape({kernel.size(0), -1}); }

at::Tensor as_map(const at::Tensor &rows, int64_t batch, int64_t height, int64_t width) {
  return rows.view({batch, height, width, rows.size(1)}).permute({0, 3, 1, 2});
}

at::Tensor gathered(const at::Tensor &map) {
  const Sides s = sides(map);
  const at::Tensor from = map.contiguous(at::MemoryFormat::ChannelsLast), to = at::empty({s.rows(), s.columns()}, map.options());
  if (map.scalar_type() == at::kFloat) {
    gather(from.const_data_ptr<float>(), to.mutable_data_ptr<float>(), s);
  } else {
    gather(static_cast<const uint16_t *>(from.const_data_ptr()), static_cast<uint16_t *>(to.mutable_data_ptr()), s);
  }
  return to;
}

at::Tensor scattered(const at::Tensor &patches, Sides s) {
  const at::Tensor to = at::empty({s.batch, s.height, s.width, s.channels}, patches.options());
  if (patches.scalar_type() == at::kFloat) {
    scatter(patches.const_data_ptr<float>(), to.mutable_data_ptr<float>(), s);
  } else {
    scatter(static_cast<const uint16_t *>(patches.const_data_ptr()), static_cast<uint16_t *>(to.mutable_data_ptr()), s);
  }
  return to.permute({0, 3, 1, 2});
}

constexpr int64_t TWO[] = {2, 2}, ONE[] = {1, 1}, ZERO[] = {0, 0};

std::vector<at::Tensor> libtorchs_backward(const at::Tensor &gradient, const at::Tensor &x, const at::Tensor &kernel, bool transposed, bool want_x, bool want_kernel) {
  auto [gx, gw, gb] =
      at::convolution_backward(gradient, x, kernel, std::nullopt, TWO, ONE, ONE, transposed, ZERO, 1, std::array<bool, 3>{want_x, want_kernel, false});
  return {gx, gw};
}

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A convolution with a kernel of 4 × 4, stride 2 and padding 1, or its transpose, as products of matrices where these are faster than
// oneDNN's convolutions: where maps are small and channels many. Kernel [O, C, 4, 4], transposed [I, O, 4, 4]. `products` is for the
// answer and the gradient of x, `kernel_products` for the gradient of the kernel.
struct Conv : torch::autograd::Function<Conv> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x, const at::Tensor &kernel, bool transposed, bool products, bool kernel_products) {
    context->save_for_backward({x, kernel});
    context->saved_data["transposed"] = transposed;
    context->saved_data["products"] = products;
    context->saved_data["kernel_products"] = kernel_products;
    if (!products) return at::convolution(x, kernel, std::nullopt, TWO, ONE, ONE, transposed, ZERO, 1);
    const Sides s = sides(x);
    if (transposed) {
      return scattered(at::mm(as_rows(x), as_matrix(kernel)), {s.batch, 2 * s.height, 2 * s.width, kernel.size(1)});
    }
    return as_map(at::mm(gathered(x), as_matrix(kernel).t()), s.batch, s.height / 2, s.width / 2);
  }

  static variable_list backward(AutogradContext *context, const variable_list &gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &kernel = saved[1], &gradient = gradients[0];
    const bool transposed = context->saved_data["transposed"].toBool(), products = context->saved_data["products"].toBool();
    const bool kernel_products = context->saved_data["kernel_products"].toBool();
    const bool want_x = context->needs_input_grad(0), want_kernel = context->needs_input_grad(1);
    // Where the gradient itself is to be differentiated, libtorch's own formula is, and this one is not.
    if (at::GradMode::is_enabled()) {
      variable_list both = libtorchs_backward(gradient, x, kernel, transposed, want_x, want_kernel);
      return {both[0], both[1], at::Tensor(), at::Tensor(), at::Tensor()};
    }
    at::Tensor gx, gw;
    const bool left_x = want_x && !products, left_kernel = want_kernel && !kernel_products;
    if (left_x || left_kernel) {
      const variable_list both = libtorchs_backward(gradient, x, kernel, transposed, left_x, left_kernel);
      gx = both[0];
      gw = both[1];
    }
    if ((want_x && products && transposed) || (want_kernel && kernel_products)) {
      // The larger map's patches: rows of the smaller map, columns of the kernel.
      const at::Tensor patches = gathered(transposed ? gradient : x);
      const at::Tensor rows = as_rows(transposed ? x : gradient);
      if (want_x && products && transposed) {
        gx = as_map(at::mm(patches, as_matrix(kernel).t()), x.size(0), x.size(2), x.size(3));
      }
      if (want_kernel && kernel_products) gw = at::mm(rows.t(), patches).view({kernel.size(0), 4, 4, kernel.size(1)}).permute({0, 3, 1, 2});
    }
    if (want_x && products && !transposed) gx = scattered(at::mm(as_rows(gradient), as_matrix(kernel)), sides(x));
    return {gx, gw, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

} // namespace

extern "C" {

// max(0, x) + slope · min(0, x); `tch` binds it without the slope.
char *catgen_leaky_relu(Handle x, double slope, Handle *out) {
  return guarded([&] { *out = new at::Tensor(at::leaky_relu(*x, slope)); });
}

// One step of Adam over one buffer, in one kernel; `step` and `rate` are tensors so that a CUDA graph reads them anew in every replay.
char *catgen_fused_adam(Handle parameters, Handle gradient, Handle m, Handle v, Handle step, Handle rate, double beta1, double beta2, double epsilon) {
  return guarded([&] { at::_fused_adam_({*parameters}, {*gradient}, {*m}, {*v}, {}, {*step}, *rate, beta1, beta2, 0.0, epsilon, false, false); });
}

// See `Conv`.
char *catgen_conv(Handle x, Handle kernel, bool transposed, bool products, bool kernel_products, Handle *out) {
  return guarded([&] { *out = new at::Tensor(Conv::apply(*x, *kernel, transposed, products, kernel_products)); });
}

}
