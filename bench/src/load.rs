//! Many publishers and subscribers on some threads, and what they saw.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;

use crate::latency;
use crate::link::Link;
use crate::packets::Template;
use crate::plan::Plan;
use crate::publisher::Publisher;
use crate::subscriber::{Audience, Subscriber};
use crate::worker::{Clients, Ending, Shared, Step, Worker};

/// All clients, connected and subscribed.
#[derive(Debug)]
pub struct Load {
    plan: Plan,
    run: u8,
    /// Per thread.
    clients: Vec<Clients>,
}

/// One second of all threads together; the first of a run is all that was before it was measured.
#[derive(Debug)]
pub struct Second {
    /// Since the boundary before.
    pub seconds: f64,
    pub published: u64,
    pub delivered: u64,
    pub rows: u64,
    pub latency: Histogram<u64>,
    pub lag: Histogram<u64>,
    /// 0 to 1, of the busiest thread.
    pub busy: f64,
}

impl Load {
    /// Connects all clients; subscribers first.
    pub fn connect(plan: Plan) -> io::Result<Load> {
        plan.check().map_err(io::Error::other)?;
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.subsec_micros() as u8);
        let mut load = Load { run, clients: (0..plan.threads).map(|_| Clients::default()).collect(), plan };
        let plan = &load.plan;
        for audience in 0..plan.audiences() {
            load.clients[plan.thread_of_audience(audience)].audiences.push(Audience::new(plan.hears(audience)));
        }
        for number in 0..plan.subscribers {
            let (mut link, _) = Link::connect(plan.broker, number, plan.version, &format!("bench-{run}-sub-{number}"))?;
            link.subscribe(plan.version, &plan.filter(number), plan.qos)?;
            let audience = plan.audience(number);
            let subscriber = Subscriber::new(link, audience / plan.threads);
            load.clients[plan.thread_of_audience(audience)].subscribers.push(subscriber);
        }
        for number in 0..plan.publishers {
            let name = format!("bench-{run}-pub-{number}");
            let (link, receive_max) = Link::connect(plan.broker, plan.subscribers + number, plan.version, &name)?;
            let template = Template::new(plan.version, &plan.topic(number), plan.qos, plan.retain, &plan.payload());
            let publisher = Publisher::new(link, number, template, run, plan.qos, receive_max);
            load.clients[plan.thread_of_publisher(number)].publishers.push(publisher);
        }
        Ok(load)
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Publishes for as long as the plan says. `each` is called when what is measured begins, and after each second
    /// of it.
    pub fn run(self, mut each: impl FnMut(Second) -> io::Result<()>) -> io::Result<Ending> {
        let shared = Shared::new(&self.plan, self.run)?;
        thread::scope(|scope| {
            let (sender, steps) = channel();
            let mut threads = Vec::new();
            for (number, clients) in self.clients.into_iter().enumerate() {
                let (sender, shared) = (sender.clone(), &shared);
                let work = move || {
                    let ended = Worker::new(shared, number, clients).and_then(|worker| worker.run(&sender));
                    ended.inspect_err(|_| shared.fail())
                };
                threads.push(thread::Builder::new().name(format!("bench-{number}")).spawn_scoped(scope, work)?);
            }
            drop(sender);
            let seconds = gather(&steps, threads.len(), &mut each).inspect_err(|_| shared.fail());
            let mut ending = Ending::default();
            for thread in threads {
                ending.add(thread.join().map_err(|_| io::Error::other("a thread of the generator has failed"))??);
            }
            seconds.map(|()| ending)
        })
    }
}

/// Puts together what the threads say of each second, as soon as all have said it.
fn gather(
    steps: &Receiver<(usize, Step)>,
    threads: usize,
    each: &mut impl FnMut(Second) -> io::Result<()>,
) -> io::Result<()> {
    let mut waiting: Vec<Vec<Step>> = (0..threads).map(|_| Vec::new()).collect();
    let mut before: Vec<(u64, f64)> = vec![(0, 0.0); threads];
    while let Ok((number, step)) = steps.recv() {
        waiting[number].push(step);
        if waiting.iter().all(|steps| !steps.is_empty()) {
            let now: Vec<Step> = waiting.iter_mut().map(|steps| steps.remove(0)).collect();
            each(second(&now, &before))?;
            before = now.iter().map(|step| (step.at_ns, step.cpu_s)).collect();
        }
    }
    Ok(())
}

fn second(steps: &[Step], before: &[(u64, f64)]) -> Second {
    let mut second = Second {
        seconds: 0.0,
        published: 0,
        delivered: 0,
        rows: 0,
        latency: latency::empty(),
        lag: latency::empty(),
        busy: 0.0,
    };
    for (step, (at_ns, cpu_s)) in steps.iter().zip(before) {
        let seconds = (step.at_ns - at_ns) as f64 / 1e9;
        second.seconds += seconds / steps.len() as f64;
        second.published += step.published;
        second.delivered += step.delivered;
        second.rows += step.rows;
        second.busy = second.busy.max((step.cpu_s - cpu_s) / seconds);
        latency::add(&mut second.latency, step.latency.as_ref());
        latency::add(&mut second.lag, step.lag.as_ref());
    }
    second
}
