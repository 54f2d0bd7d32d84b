//! Gates: softmax over experts, and the experts' mixture.

use super::builder::MOST_WEIGHED;
use super::{Gate, GraphBuilder, Node, Op};
use crate::error::{Error, Result};
use crate::init::Init;

/// An expert's output `[B, W]` and where it stands, such as `levels.0.shared.experts.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expert {
    /// Scope of the expert.
    pub name: String,
    /// Its output.
    pub node: Node,
}

impl GraphBuilder<'_> {
    /// A gate: `softmax(W s (+ b))` over `experts`, and their mixture `[B, W]` by its weights.
    ///
    /// `selector` is what the gate reads; W is `gate.weight` `[E, D]`. Names of the experts are kept for those who ask
    /// what the gate learned.
    ///
    /// # Errors
    /// [`Error::NoExperts`] without experts, [`Error::ExpertWidths`] if they differ in width.
    pub fn gate(&mut self, selector: Node, name: &str, experts: &[Expert], bias: bool) -> Result<Node> {
        self.check_experts(name, experts)?;
        let logits = self.affine(selector, name, experts.len(), bias, Init::lecun(self.width(selector)))?;
        self.mix(logits, name, experts)
    }

    /// A gate whose logits `[B, E]` are at hand: `softmax(logits)`, and the experts' mixture by it.
    ///
    /// # Errors
    /// As [`GraphBuilder::gate`], and [`Error::InputWidth`] unless there is a logit per expert.
    pub fn mix(&mut self, logits: Node, name: &str, experts: &[Expert]) -> Result<Node> {
        let width = self.check_experts(name, experts)?;
        self.check_width(name, logits, experts.len())?;
        self.names.borrow_mut().weighed += experts.len();
        if self.names.borrow().weighed > MOST_WEIGHED {
            let scope = self.path(name);
            return Err(Error::TooManyParts { scope, what: "pairs of a gate and an expert", most: MOST_WEIGHED });
        }
        let weights = self.push(name, Op::Softmax, vec![logits], experts.len());
        self.graph.gates.push(Gate {
            scope: self.path(name),
            node: weights,
            experts: experts.iter().map(|e| e.name.clone()).collect(),
        });
        let inputs = std::iter::once(weights).chain(experts.iter().map(|e| e.node)).collect();
        Ok(self.push(name, Op::Mixture, inputs, width))
    }

    fn check_experts(&self, name: &str, experts: &[Expert]) -> Result<usize> {
        let Some(first) = experts.first() else { return Err(Error::NoExperts { scope: self.path(name) }) };
        let width = self.width(first.node);
        if let Some(other) = experts.iter().find(|e| self.width(e.node) != width) {
            return Err(Error::ExpertWidths {
                scope: self.path(name),
                first: (first.name.clone(), width),
                other: (other.name.clone(), self.width(other.node)),
            });
        }
        Ok(width)
    }

    /// Names `x` as an expert of this scope, for gates to select.
    #[must_use]
    pub fn expert(&self, x: Node) -> Expert {
        Expert { name: self.scope.clone(), node: x }
    }
}
