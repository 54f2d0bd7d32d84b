//! Routes: names whose requests are split over arms, each a model with exponents of its score, and shown to shadows.
//!
//! A route is read from a file at the start (`file`, `form`) and replaced as a whole by a call. A worker reads the value that
//! decides the arm (`by`), finds its bucket (`buckets`), and ranks by the arm's model as if that had been asked itself.

mod buckets;
mod by;
mod file;
mod form;
mod shown;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use pleiad_data::{nearest, suggest};
use serde_json::{Value, json};

use self::buckets::{Draws, deal};
pub(crate) use self::file::RoutesFile;
pub(crate) use self::form::TaskExponents;
use self::form::{Problem, RouteForm, Step, in_buckets, plain};
use crate::error::Result as Outcome;
use crate::refusal::{Place, Refusal};
use crate::registry::{Entry, out_of_service};
use crate::served::{BodyForm, Served};
use crate::shadow::Shadow;

/// All routes of a server. Their names stay; what each says may change.
pub(crate) struct Routes {
    all: Vec<Arc<LiveRoute>>,
    /// All models of the server.
    entries: Vec<Arc<Entry>>,
    file: Option<RoutesFile>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// A route, as it is now.
pub(crate) struct LiveRoute {
    pub(crate) name: String,
    now: RwLock<Arc<Plan>>,
    draws: Draws,
    /// Requests without the value that decides.
    without: AtomicU64,
}

/// What a route says until it is changed.
pub(crate) struct Plan {
    form: RouteForm,
    arms: Vec<Arm>,
    /// The arm of each bucket.
    dealt: Vec<u8>,
    /// The number of the arm that answers for others.
    fallback: Option<usize>,
    shadows: Vec<Arc<Shadow>>,
}

/// A part of the requests.
pub(crate) struct Arm {
    pub(crate) label: String,
    pub(crate) score: Option<TaskExponents>,
    entry: Arc<Entry>,
    counted: Arc<ArmCounts>,
}

/// What is counted of an arm under its label, whatever the route says of it.
#[derive(Debug, Default)]
struct ArmCounts {
    answered: AtomicU64,
    refused: AtomicU64,
    /// Requests of this arm that another one answered for it.
    fell_back: AtomicU64,
}

/// A request of a route: what the route said when it came, and the arm that was asked for.
pub(crate) struct Asked {
    pub(crate) route: Arc<LiveRoute>,
    pub(crate) plan: Arc<Plan>,
    arm: Option<usize>,
}

/// The arm that answers a request, and the version of its model.
pub(crate) struct Chosen {
    pub(crate) served: Arc<Served>,
    pub(crate) entry: Arc<Entry>,
    arm: usize,
    /// The arm for which it answers.
    instead_of: Option<usize>,
    /// Whether the value that decides was not there.
    is_without: bool,
}

impl Arm {
    /// The version that answers; none while there is none that takes the arm's exponents.
    fn current(&self) -> Result<Arc<Served>, Refusal> {
        let Some(served) = self.entry.current() else { return Err(out_of_service(&self.entry)) };
        let tasks = served.model().tasks();
        let lacks = |task: &&String| tasks.iter().all(|known| known.name != **task);
        match self.score.iter().flat_map(|score| score.keys()).find(lacks) {
            None => Ok(served),
            Some(task) => {
                let (label, version) = (&self.label, served.version());
                let message = format!("version {version} has no task {task:?}, whose exponent arm {label:?} gives");
                Err(Refusal::new(503, "arm_unfit", message, "change the route, or roll the model back"))
            }
        }
    }
}

impl Plan {
    fn new(form: RouteForm, entries: &[Arc<Entry>], former: Option<&Self>) -> Result<Self, Problem> {
        let models: Vec<&str> = entries.iter().map(|entry| entry.spec.name.as_str()).collect();
        form.check(&models)?;
        let entry = |model: &str| entries.iter().find(|entry| entry.spec.name == model).map(Arc::clone);
        let counted = |label: &str| {
            let former = former.and_then(|former| former.arms.iter().find(|arm| arm.label == label));
            former.map_or_else(Arc::default, |arm| Arc::clone(&arm.counted))
        };
        // The form was checked: every model is there.
        let arms = form.arm.iter().filter_map(|arm| {
            let (label, score) = (arm.label.clone(), arm.score.clone());
            Some(Arm { counted: counted(&label), entry: entry(&arm.model)?, label, score })
        });
        let shadows = form.shadow.iter().filter_map(|shadow| {
            let former = former.and_then(|former| former.shadows.iter().find(|own| own.model() == shadow.model));
            Some(Arc::new(Shadow::new(
                entry(&shadow.model)?,
                in_buckets(shadow.share),
                shadow.score.clone(),
                former.map(|own| &**own),
            )))
        });
        let (arms, shadows): (Vec<Arm>, _) = (arms.collect(), shadows.collect());
        let dealt = deal(&form.arm.iter().map(|arm| in_buckets(arm.share)).collect::<Vec<_>>());
        let fallback = form.fallback.as_ref().and_then(|label| arms.iter().position(|arm| arm.label == *label));
        Ok(Self { arms, dealt, fallback, shadows, form })
    }

    /// Whether every model that is served takes the exponents that are for it.
    fn check_scores(&self) -> Result<(), Problem> {
        let of_arms = self.arms.iter().map(|arm| (&arm.entry, arm.score.as_ref()));
        let of_shadows = self.shadows.iter().map(|shadow| (shadow.entry(), shadow.score()));
        let arms = of_arms.enumerate().map(|(at, part)| (("arm", at), part));
        for ((list, at), (entry, score)) in arms.chain(of_shadows.enumerate().map(|(at, part)| (("shadow", at), part)))
        {
            let (Some(score), Some(served)) = (score, entry.current()) else { continue };
            if let Err(refusal) = served.weigh(score) {
                let mut path: Vec<Step> = vec![list.into(), at.into(), "score".into()];
                // Such as `score.click`, which the path says already.
                let field = refusal.place.field.as_deref().unwrap_or_default();
                path.extend(field.strip_prefix("score.").map(Step::from));
                let message = refusal.message.strip_prefix(&format!("{field}: ")).unwrap_or(&refusal.message);
                return Err(Problem { path, message: message.to_owned() });
            }
        }
        Ok(())
    }

    /// The number of a label.
    fn labelled(&self, name: &str, label: &str) -> Result<usize, Refusal> {
        self.arms.iter().position(|arm| arm.label == label).ok_or_else(|| {
            let known: Vec<&str> = self.arms.iter().map(|arm| arm.label.as_str()).collect();
            let message = format!("route {name:?} has no label {label:?}{}", suggest(label, &known));
            Refusal::new(404, "no_such_label", message, "see /v1/routes")
        })
    }

    /// Shadows that rank this request, too, by chance.
    fn drawn(&self, draws: &Draws) -> Vec<Arc<Shadow>> {
        self.shadows.iter().filter(|shadow| draws.next() < shadow.share()).map(Arc::clone).collect()
    }
}

impl LiveRoute {
    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A request of it; of one arm where a label is given.
    pub(crate) fn ask(self: &Arc<Self>, label: Option<&str>) -> Result<Asked, Refusal> {
        let plan = self.plan();
        let arm = label.map(|label| plan.labelled(&self.name, label)).transpose()?;
        Ok(Asked { route: Arc::clone(self), plan, arm })
    }
}

impl Asked {
    /// The arm that answers this body.
    pub(crate) fn choose(&self, body: &[u8], form: BodyForm) -> Result<Chosen, Refusal> {
        let Self { route, plan, arm } = self;
        let (mut is_without, mut is_named) = (false, false);
        let at = match (*arm, &plan.form.by) {
            (Some(arm), _) => {
                is_named = true;
                arm
            }
            (None, None) => usize::from(plan.dealt[route.draws.next()]),
            (None, Some(by)) => {
                let salt = plan.form.salt.as_deref().unwrap_or(&route.name);
                let bucket = by::bucket_of(body, form, by, salt);
                is_without = bucket.is_none();
                usize::from(plan.dealt[bucket.unwrap_or_else(|| route.draws.next())])
            }
        };
        let chosen = |arm: usize, served, instead_of| {
            let entry = Arc::clone(&plan.arms[arm].entry);
            Chosen { served, entry, arm, instead_of, is_without }
        };
        match (plan.arms[at].current(), plan.fallback) {
            (Ok(served), _) => Ok(chosen(at, served, None)),
            // Who asks for a label wants that one.
            (Err(_), Some(other)) if other != at && !is_named => match plan.arms[other].current() {
                Ok(served) => Ok(chosen(other, served, Some(at))),
                Err(refusal) => Err(plan.arms[at].refused(refusal)),
            },
            (Err(refusal), _) => Err(plan.arms[at].refused(refusal)),
        }
    }

    /// The arm that answers.
    pub(crate) fn arm(&self, chosen: &Chosen) -> &Arm {
        &self.plan.arms[chosen.arm]
    }

    /// Shadows that rank this request, too, by chance.
    pub(crate) fn shadows(&self) -> Vec<Arc<Shadow>> {
        match self.plan.shadows.is_empty() {
            true => Vec::new(),
            false => self.plan.drawn(&self.route.draws),
        }
    }

    /// Counts what became of a request.
    pub(crate) fn count(&self, chosen: &Chosen, is_answered: bool) {
        let arm = self.arm(chosen);
        if !is_answered {
            arm.counted.refused.fetch_add(1, Ordering::Relaxed);
            return;
        }
        arm.counted.answered.fetch_add(1, Ordering::Relaxed);
        if let Some(instead_of) = chosen.instead_of {
            self.plan.arms[instead_of].counted.fell_back.fetch_add(1, Ordering::Relaxed);
        }
        if chosen.is_without {
            self.route.without.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// About how many values a candidate has.
    pub(crate) fn width(&self) -> usize {
        let served = self.plan.arms.iter().find_map(|arm| arm.entry.current());
        served.map_or(1, |served| served.columns().names.len().max(1))
    }
}

impl Arm {
    fn refused(&self, refusal: Refusal) -> Refusal {
        self.counted.refused.fetch_add(1, Ordering::Relaxed);
        refusal
    }
}

impl Routes {
    /// Those of a file; none without one.
    pub(crate) fn new(file: Option<RoutesFile>, entries: &[Arc<Entry>]) -> Outcome<Self> {
        let forms = file.iter().flat_map(|file| file.forms.iter().enumerate().map(move |form| (file, form)));
        let route = |(file, (at, form)): (&RoutesFile, (usize, &RouteForm))| {
            let plan = Plan::new(form.clone(), entries, None).map_err(|problem| file.error(at, &problem))?;
            let (name, now) = (form.name.clone(), RwLock::new(Arc::new(plan)));
            Ok(Arc::new(LiveRoute { name, now, draws: Draws::new(), without: AtomicU64::new(0) }))
        };
        let all = forms.map(route).collect::<Outcome<_>>()?;
        Ok(Self { all, entries: entries.to_vec(), file, changing: Mutex::default() })
    }

    /// Once models are loaded: whether they take the exponents that routes have for them.
    pub(crate) fn check_scores(&self) -> Outcome<()> {
        for (at, route) in self.all.iter().enumerate() {
            if let (Err(problem), Some(file)) = (route.plan().check_scores(), &self.file) {
                return Err(file.error(at, &problem));
            }
        }
        self.demand();
        Ok(())
    }

    /// Says to each model what later versions of it have to take.
    fn demand(&self) {
        for entry in &self.entries {
            let mut scores = Vec::new();
            for route in &self.all {
                let (name, plan) = (&route.name, route.plan());
                let arms = plan
                    .arms
                    .iter()
                    .filter(|arm| Arc::ptr_eq(&arm.entry, entry))
                    .filter_map(|arm| Some((format!("arm {:?} of route {name:?}", arm.label), arm.score.clone()?)));
                scores.extend(arms);
                let shadows = plan.shadows.iter().filter(|shadow| Arc::ptr_eq(shadow.entry(), entry));
                let shadows = shadows.filter_map(|shadow| shadow.score());
                scores.extend(shadows.map(|score| (format!("a shadow of route {name:?}"), score.clone())));
            }
            entry.demand(scores);
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<LiveRoute>> {
        self.all.iter().find(|route| route.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|route| route.name.as_str())
    }

    /// A route, for those who change it.
    pub(crate) fn named(&self, name: &str) -> Result<&Arc<LiveRoute>, Refusal> {
        self.find(name).ok_or_else(|| {
            let hint = nearest(name, self.names()).map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            let known: Vec<&str> = self.names().collect();
            let advice = match known.is_empty() {
                true => "start the server with --routes FILE".to_owned(),
                false => format!("the routes are {}", known.join(", ")),
            };
            Refusal::new(404, "no_such_route", format!("there is no route {name:?}{hint}"), advice)
        })
    }

    /// Puts what a body says in the place of what a route says now. Gives both.
    pub(crate) fn change(&self, name: &str, body: &[u8]) -> Result<[Value; 2], Refusal> {
        let route = self.named(name)?;
        let mut form = form_of(body)?;
        if form.name.is_empty() {
            name.clone_into(&mut form.name);
        }
        if form.name != name {
            let message = format!("is {:?}, and the address says {name:?}; a route keeps its name", form.name);
            return Err(refuse(Problem { path: vec!["name".into()], message }));
        }
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let former = route.plan();
        let plan = Plan::new(form, &self.entries, Some(&former)).map_err(refuse)?;
        plan.check_scores().map_err(refuse)?;
        let [from, to] = [&former, &plan].map(|plan| json!(plan.form));
        *route.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.demand();
        Ok([from, to])
    }
}

/// Checks a file of routes as the start of a server does: `text` is read as TOML, and its routes may name `models`. Whether
/// the models take the exponents of their arms is found when they are loaded.
///
/// # Errors
/// [`Error::Routes`](crate::Error::Routes) with line and column of what is wrong; `path` is the name that it gives the file.
pub fn check_routes(path: &Path, text: String, models: &[&str]) -> Outcome<()> {
    RoutesFile::parse(path, text, models).map(drop)
}

/// Checks the body of `POST /v1/routes/NAME` as the server does, but for the exponents of its arms.
///
/// # Errors
/// The answer to it, of status 400 or 422.
pub fn check_route(body: &[u8], models: &[&str]) -> Result<(), Refusal> {
    form_of(body)?.check(models).map_err(refuse)
}

fn form_of(body: &[u8]) -> Result<RouteForm, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        let place = Place { line: Some(error.line()), column: Some(error.column()), ..Place::default() };
        let advice = "send a route as JSON, such as GET /v1/routes has it";
        Refusal::new(400, "bad_request", plain(&error.to_string()), advice).at(place)
    })
}

fn refuse(problem: Problem) -> Refusal {
    let place = Place { field: Some(problem.key()), ..Place::default() };
    let advice = "nothing was changed; send the whole route as it is to be";
    Refusal::new(422, "bad_route", problem.to_string(), advice).at(place)
}

/// The refusal of a label of a name that is no route, and of what a route does not answer.
pub(crate) fn ranks_alone(route: &LiveRoute) -> Refusal {
    let name = &route.name;
    let models: Vec<String> = route.plan().arms.iter().map(|arm| arm.entry.spec.name.clone()).collect();
    let message = format!("{name:?} is a route, not a model; a route answers rank requests alone");
    let advice = format!("ask /v1/models/{name}/rank, or one of its models: {}", models.join(", "));
    Refusal::new(404, "is_route", message, advice)
}
