//! Decides which buffers share memory.
//!
//! Time runs over forward steps, then backward steps. A buffer lives from the first step that touches it to the last;
//! a slot serves buffers whose lifetimes do not overlap, and which have the same events or none. The widest buffers are placed first: in the smallest slot
//! that is free during their lifetime and large enough, or else in the largest free slot, which grows.

use std::ops::RangeInclusive;

use pleiad_model::graph::Space;

use super::{Place, Plan, Purpose, Slot, Step, View};

/// Gives every buffer its place, and the plan its slots.
pub(super) fn assign(plan: &mut Plan, purpose: Purpose) {
    let mut lives = Lives { values: vec![None; plan.values.len()], gradients: vec![None; plan.gradients.len()] };
    let end = plan.steps.len() + plan.backward.len();
    for (time, step) in plan.steps.iter().enumerate() {
        for view in views(step) {
            touch(&mut lives.values[view.buffer], time);
        }
    }
    for output in &plan.outputs {
        touch(&mut lives.values[output.buffer], plan.steps.len());
        touch(&mut lives.gradients[output.buffer], plan.steps.len());
    }
    for view in plan.gates.iter().chain(plan.experts.iter().map(|(_, view)| view)) {
        touch(&mut lives.values[view.buffer], plan.steps.len());
    }
    for (i, back) in plan.backward.iter().enumerate() {
        let time = plan.steps.len() + i;
        let step = &plan.steps[back.step];
        for view in views(step) {
            touch(&mut lives.values[view.buffer], time);
        }
        touch(&mut lives.gradients[step.output().buffer], time);
        for view in back.clear.iter().chain(back.writes.iter().filter(|w| w.1 != super::Write::Skip).map(|w| &w.0)) {
            touch(&mut lives.gradients[view.buffer], time);
        }
    }
    if purpose == Purpose::Train {
        // Values are read on the way back by steps that the loops above have seen; what is only read forward may go.
        debug_assert!(lives.values.iter().flatten().all(|life| *life.end() <= end));
    }
    if purpose == Purpose::TrainByTask {
        // The way back is gone again: a gradient may not lie where a value was that its next round reads.
        for life in lives.values.iter_mut().flatten().filter(|life| *life.end() >= plan.steps.len()) {
            *life = *life.start()..=end;
        }
    }

    let mut buffers: Vec<(Slot, RangeInclusive<usize>, &mut Place)> = Vec::new();
    let form = |ld, space: Space| Slot { ld, space: if space.list().is_some() { space } else { Space::Row } };
    for (buffer, life) in plan.values.iter_mut().zip(lives.values) {
        if let Some(life) = life {
            buffers.push((form(buffer.ld, buffer.space), life, &mut buffer.place));
        }
    }
    for (buffer, life) in plan.gradients.iter_mut().zip(lives.gradients) {
        if let (Place::Nowhere, Some(life)) = (buffer.place, life) {
            buffers.push((form(buffer.ld, buffer.space), life, &mut buffer.place));
        }
    }
    buffers.sort_by_key(|(form, life, _)| (std::cmp::Reverse(form.ld), *life.start()));
    let mut slots: Vec<(Slot, Vec<RangeInclusive<usize>>)> = Vec::new();
    for (form, life, place) in buffers {
        let free =
            |lives: &[RangeInclusive<usize>]| lives.iter().all(|l| l.end() < life.start() || l.start() > life.end());
        // Widest first, so every slot that exists is large enough; the narrowest of the free ones fits best.
        let fits = |s: &usize| slots[*s].0.space == form.space && free(&slots[*s].1);
        let found = (0..slots.len()).filter(fits).min_by_key(|&s| slots[s].0.ld);
        let slot = found.unwrap_or_else(|| {
            slots.push((form, Vec::new()));
            slots.len() - 1
        });
        slots[slot].1.push(life);
        *place = Place::Slot(slot);
    }
    plan.slots = slots.into_iter().map(|(form, _)| form).collect();
}

struct Lives {
    values: Vec<Option<RangeInclusive<usize>>>,
    gradients: Vec<Option<RangeInclusive<usize>>>,
}

fn touch(life: &mut Option<RangeInclusive<usize>>, time: usize) {
    *life = Some(match life.take() {
        Some(life) => *life.start().min(&time)..=*life.end().max(&time),
        None => time..=time,
    });
}

fn views(step: &Step) -> Vec<View> {
    let mut views = step.inputs();
    views.push(step.output());
    views
}
