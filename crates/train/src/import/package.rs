//! [`Package`]: whose `state_dict` it is.

/// A PyTorch implementation whose `state_dict` can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Package {
    /// `torch-rechub`.
    TorchRechub,
    /// `deepctr-torch`.
    DeepctrTorch,
    /// Multitask-Recommendation-Library.
    Mtreclib,
    /// The PLE of a widely copied Chinese blog: `Extraction_Network` and `Expert_net`.
    Blog,
}

impl Package {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TorchRechub, Self::DeepctrTorch, Self::Mtreclib, Self::Blog];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchRechub => "torch-rechub",
            Self::DeepctrTorch => "deepctr-torch",
            Self::Mtreclib => "mtreclib",
            Self::Blog => "blog",
        }
    }

    /// The package of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|package| package.name() == name)
    }
}
