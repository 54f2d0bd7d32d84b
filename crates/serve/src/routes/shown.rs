//! Routes as `/v1/routes` and the metrics show them.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::form::in_buckets;
use super::{LiveRoute, Routes};
use crate::metrics::{escaped, head};

impl Routes {
    /// Every route: what it says, and what was counted.
    pub(crate) fn shown(&self) -> Value {
        json!({ "routes": self.all.iter().map(|route| route.shown()).collect::<Value>() })
    }

    /// Their lines of `/metrics`; none of a server without routes.
    pub(crate) fn metrics(&self, text: &mut String) {
        if self.all.is_empty() {
            return;
        }
        let arms = |write: &mut dyn FnMut(&str, &super::Arm, f64)| {
            for route in &self.all {
                let plan = route.plan();
                for (arm, form) in plan.arms.iter().zip(&plan.form.arm) {
                    write(&route.name, arm, form.share);
                }
            }
        };
        head(text, "pleiad_route_requests_total", "counter", "Requests of each arm of a route.");
        arms(&mut |route, arm, _| {
            for (result, count) in [("answered", &arm.counted.answered), ("refused", &arm.counted.refused)] {
                let (label, count) = (&arm.label, count.load(Ordering::Relaxed));
                let labels = format!("route=\"{route}\",label=\"{label}\",result=\"{result}\"");
                let _ = writeln!(text, "pleiad_route_requests_total{{{labels}}} {count}");
            }
        });
        head(text, "pleiad_route_fallbacks_total", "counter", "Requests of an arm that the fallback answered for it.");
        arms(&mut |route, arm, _| {
            let (label, count) = (&arm.label, arm.counted.fell_back.load(Ordering::Relaxed));
            let _ = writeln!(text, "pleiad_route_fallbacks_total{{route=\"{route}\",label=\"{label}\"}} {count}");
        });
        head(text, "pleiad_route_share", "gauge", "The share of the requests that an arm is to have.");
        arms(&mut |route, arm, share| {
            let _ = writeln!(text, "pleiad_route_share{{route=\"{route}\",label=\"{}\"}} {share}", arm.label);
        });
        head(text, "pleiad_route_without_value_total", "counter", "Requests without the field that decides the arm.");
        for route in &self.all {
            let count = route.without.load(Ordering::Relaxed);
            let _ = writeln!(text, "pleiad_route_without_value_total{{route=\"{}\"}} {count}", route.name);
        }
        self.shadow_metrics(text);
    }

    fn shadow_metrics(&self, text: &mut String) {
        let plans: Vec<_> = self.all.iter().map(|route| (route.name.as_str(), route.plan())).collect();
        let of_all = || plans.iter().flat_map(|(name, plan)| plan.shadows.iter().map(move |shadow| (*name, shadow)));
        head(text, "pleiad_shadow_requests_total", "counter", "Requests that a shadow was to rank, too.");
        for (route, shadow) in of_all() {
            let counts = shadow.counts();
            let results = [("ranked", counts.ranked), ("dropped", counts.dropped), ("error", counts.errors)];
            for (result, count) in results {
                let labels = format!("route=\"{route}\",model=\"{}\",result=\"{result}\"", shadow.model());
                let _ = writeln!(text, "pleiad_shadow_requests_total{{{labels}}} {count}");
            }
        }
        let name = "pleiad_shadow_top10_overlap";
        head(text, name, "summary", "Share of the ten first candidates that the shadow has among its ten first, too.");
        for (route, shadow) in of_all() {
            let (labels, counts) = (format!("route=\"{route}\",model=\"{}\"", shadow.model()), shadow.counts());
            let _ = writeln!(text, "{name}_sum{{{labels}}} {}", counts.overlap);
            let _ = writeln!(text, "{name}_count{{{labels}}} {}", counts.compared);
        }
        let name = "pleiad_shadow_prediction_difference";
        head(text, name, "summary", "Absolute difference between the predictions of answer and shadow, by candidate.");
        for (route, shadow) in of_all() {
            for (task, difference) in shadow.counts().differences {
                let labels = format!("route=\"{route}\",model=\"{}\",task=\"{}\"", shadow.model(), escaped(&task));
                let _ = writeln!(text, "{name}_sum{{{labels}}} {}", difference.sum);
                let _ = writeln!(text, "{name}_count{{{labels}}} {}", difference.candidates);
            }
        }
    }
}

impl LiveRoute {
    fn shown(&self) -> Value {
        let plan = self.plan();
        let arm = |(at, arm): (usize, &super::Arm)| {
            json!({
                "label": arm.label,
                "model": arm.entry.spec.name,
                "version": arm.entry.current().map(|served| served.version().to_owned()),
                "buckets": in_buckets(plan.form.arm[at].share),
                "answered": arm.counted.answered.load(Ordering::Relaxed),
                "refused": arm.counted.refused.load(Ordering::Relaxed),
                "fell_back": arm.counted.fell_back.load(Ordering::Relaxed),
            })
        };
        json!({
            "name": self.name,
            "route": plan.form,
            "arms": plan.arms.iter().enumerate().map(arm).collect::<Value>(),
            "shadows": plan.shadows.iter().map(|shadow| shadow.shown()).collect::<Value>(),
            "without_value": self.without.load(Ordering::Relaxed),
        })
    }
}
