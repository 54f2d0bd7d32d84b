//! [`Arithmetic`]: which products a precision has on this processor.

use super::tiles::amx::has_amx;
use super::tiles::{Kernel, Pair, has_avx512};
use crate::precision::{Kernels, Precision};

/// How products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arithmetic {
    /// f32 by the `gemm` crate.
    Plain,
    /// f32 by our own tiles.
    Tiles,
    /// bf16 by our own tiles.
    PairTiles,
    /// bf16 by the processor's.
    Amx,
    /// f32 by the `gemm` crate, of operands rounded to bf16.
    Rounded,
}

impl Arithmetic {
    /// What gives `precision` on this processor.
    pub(crate) fn choose(precision: Precision, kernels: Kernels) -> Self {
        let fastest = kernels == Kernels::Fastest;
        #[cfg(test)]
        if let (Precision::Bf16, true, Some(forced)) = (precision, fastest, FORCED.get()) {
            return forced;
        }
        match precision {
            Precision::F32 if fastest && f32::available() => Self::Tiles,
            Precision::F32 => Self::Plain,
            Precision::Bf16 if fastest && has_amx() => Self::Amx,
            Precision::Bf16 if fastest && Pair::available() => Self::PairTiles,
            Precision::Bf16 => Self::Rounded,
        }
    }

    /// Products of f32, as near to this as there are.
    pub(crate) fn of_f32(self) -> Self {
        match self {
            Self::Tiles | Self::PairTiles | Self::Amx if f32::available() => Self::Tiles,
            _ => Self::Plain,
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "f32 (gemm)",
            Self::Tiles if has_avx512() => "f32 (AVX-512)",
            Self::Tiles => "f32 (AVX2)",
            Self::PairTiles => "bf16 (AVX512-BF16)",
            Self::Amx => "bf16 (AMX)",
            Self::Rounded => "bf16 (emulated: rounded to bf16, multiplied in f32)",
        }
    }
}

#[cfg(test)]
thread_local! {
    static FORCED: std::cell::Cell<Option<Arithmetic>> = const { std::cell::Cell::new(None) };
}

/// What `run` gives if `arithmetic` is what this thread has as the fastest products of bf16.
#[cfg(test)]
pub(crate) fn with_fastest_bf16<R>(arithmetic: Arithmetic, run: impl FnOnce() -> R) -> R {
    FORCED.set(Some(arithmetic));
    let result = run();
    FORCED.set(None);
    result
}

impl Precision {
    /// What the products of this precision are made of on this processor, to be shown to a person.
    #[must_use]
    pub fn kernels(self, kernels: Kernels) -> &'static str {
        Arithmetic::choose(self, kernels).name()
    }

    /// Whether the processor lacks products of this precision, so that it saves nothing.
    #[must_use]
    pub fn is_emulated(self) -> bool {
        Arithmetic::choose(self, Kernels::Fastest) == Arithmetic::Rounded
    }
}

#[cfg(test)]
mod tests {
    use super::super::tiles::amx_here;
    use super::*;

    #[test]
    fn amx_is_not_chosen_where_it_is_emulated() {
        amx_here();
        let chosen = Arithmetic::choose(Precision::Bf16, Kernels::Fastest);
        assert_eq!(chosen == Arithmetic::Amx, has_amx(), "{chosen:?}");
        assert_eq!(Arithmetic::choose(Precision::Bf16, Kernels::Plain), Arithmetic::Rounded);
    }
}
