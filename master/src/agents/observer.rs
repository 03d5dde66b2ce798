//! Pings one agent, and tells the master when it has stopped answering (upstream: `SlaveObserver`).
//!
//! | receives | from | does |
//! |---|---|---|
//! | `PongSlaveMessage` | the agent | forgets the missed pings, and cancels a removal that still waits |
//! | `Tick` | itself, every `limits.interval` | counts a ping without an answer, reports after `limits.missed` of them, and pings again |
//! | [`Connection`] | the master | from now on the pings say whether the agent is connected; if it is so again, the last ping is not counted |
//!
//! It knows nothing of resources, tasks or frameworks. It goes on pinging after its report, because an
//! answer that comes before the removal cancels it. An agent that is told that it is not connected,
//! although it thinks it is, re-registers.

use std::time::Duration;

use libprocess::{Context, Handle, Install, Pid, Process, Recipient, messages};
use mesos::AgentId;
use mesos::internal::{PingSlaveMessage, PongSlaveMessage};

/// How often an agent is pinged, and how often it may fail to answer in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingLimits {
    /// Between pings; an answer counts until the next one (`--agent_ping_timeout`).
    pub interval: Duration,
    /// So many unanswered pings make the agent unhealthy (`--max_agent_ping_timeouts`).
    pub missed: u32,
}

impl PingLimits {
    /// After how long without a ping an agent looks for its master anew: it is told this number. One interval would be over
    /// now and then before the next ping is there. (Upstream's agent registers again and again then.)
    pub fn total(&self) -> Duration {
        self.interval * self.missed.max(2)
    }
}

/// An agent's health changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The agent.
    pub agent: AgentId,
    /// It answers again, or it has not answered for too long.
    pub healthy: bool,
}

/// Whether the agent is connected, and where it is. One that is, and is told otherwise, reports once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Where it answers.
    pub pid: Pid,
    /// What the pings say.
    pub connected: bool,
}

#[derive(Debug, Clone)]
struct Tick;

messages! { Health; Connection; Tick; }

/// See the module.
pub struct AgentObserver {
    agent: AgentId,
    pid: Pid,
    master: Recipient<Health>,
    limits: PingLimits,
    connected: bool,
    /// The last ping got no answer yet.
    pinged: bool,
    /// Pings in a row that got no answer.
    missed: u32,
    reported: bool,
}

impl AgentObserver {
    /// Observes a connected agent.
    pub fn new(agent: AgentId, pid: Pid, master: Recipient<Health>, limits: PingLimits) -> Self {
        let (connected, pinged) = (true, false);
        Self { agent, pid, master, limits, connected, pinged, missed: 0, reported: false }
    }

    fn ping(&mut self, ctx: &Context<Self>) {
        ctx.post(&self.pid, PingSlaveMessage { connected: self.connected });
        self.pinged = true;
    }

    fn report(&mut self, healthy: bool) {
        self.reported = !healthy;
        self.master.tell(Health { agent: self.agent.clone(), healthy });
    }
}

impl Process for AgentObserver {
    const NAME: &'static str = "agent-observer";

    fn install(install: &mut Install<Self>) {
        install.message::<PongSlaveMessage>();
    }

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.ping(ctx);
        ctx.every(self.limits.interval, Tick);
    }
}

impl Handle<PongSlaveMessage> for AgentObserver {
    fn handle(&mut self, _: PongSlaveMessage, _: &Pid, _: &mut Context<Self>) {
        self.pinged = false;
        self.missed = 0;
        if self.reported {
            self.report(true);
        }
    }
}

impl Handle<Tick> for AgentObserver {
    fn handle(&mut self, _: Tick, _: &Pid, ctx: &mut Context<Self>) {
        if self.pinged {
            self.missed = self.missed.saturating_add(1);
            // Reported again at each further miss: the master may have refused the first report
            // because the agent was re-registering just then.
            if self.missed >= self.limits.missed {
                self.report(false);
            }
        }
        self.ping(ctx);
    }
}

impl Handle<Connection> for AgentObserver {
    fn handle(&mut self, message: Connection, _: &Pid, _: &mut Context<Self>) {
        if message.connected && !self.connected {
            // That ping went to a process that had ended, or into a connection that had broken. An agent that came back just
            // before its last ping was due would be marked unreachable milliseconds later, with all its tasks. (Upstream
            // counts the ping. One interval is enough: an agent that cannot be reached, and registers again and again, is
            // still found out.)
            self.pinged = false;
        }
        self.pid = message.pid;
        self.connected = message.connected;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use libprocess::{Node, testing};
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn an_agent_waits_for_as_many_pings_as_it_may_miss_and_for_two_at_least() {
        let total = |missed| PingLimits { interval: Duration::from_secs(15), missed }.total().as_secs();
        assert_eq!([1, 2, 5].map(total), [30, 30, 75]);
    }

    /// An agent that answers the first so many pings.
    struct Agent {
        answers: u32,
        pings: Arc<Mutex<Vec<bool>>>,
    }

    impl Process for Agent {
        const NAME: &'static str = "slave";
        fn install(install: &mut Install<Self>) {
            install.message::<PingSlaveMessage>();
        }
    }

    impl Handle<PingSlaveMessage> for Agent {
        fn handle(&mut self, ping: PingSlaveMessage, from: &Pid, ctx: &mut Context<Self>) {
            self.pings.lock().push(ping.connected);
            if self.answers > 0 {
                self.answers -= 1;
                ctx.post(from, PongSlaveMessage {});
            }
        }
    }

    const LIMITS: PingLimits = PingLimits { interval: Duration::from_secs(15), missed: 5 };

    #[test]
    fn an_agent_that_misses_five_pings_in_a_row_is_reported_after_75_seconds() {
        testing::run(async {
            let node = Node::builder().offline().start().await.unwrap();
            let pings = Arc::<Mutex<Vec<bool>>>::default();
            let agent = node.spawn_numbered(Agent { answers: 2, pings: pings.clone() });
            let (reports, start) = (Arc::<Mutex<Vec<(bool, Duration)>>>::default(), node.elapsed());
            let (clock, log) = (node.clone(), reports.clone());
            let master = Recipient::from_fn(Pid::nobody(), move |health: Health, _: &Pid| {
                log.lock().push((health.healthy, clock.elapsed() - start));
            });
            let observer = AgentObserver::new("a".into(), agent.pid().clone(), master, LIMITS);
            let observer = node.spawn_numbered(observer);
            assert_eq!(observer.pid().id(), "agent-observer(1)");
            // Two pings are answered (at 0 s and at 15 s); those at 30, 45, 60, 75 and 90 s are not.
            tokio::time::sleep(Duration::from_secs(106)).await;
            assert_eq!(*reports.lock(), [(false, Duration::from_secs(105))]);
            assert_eq!(pings.lock().len(), 8);
            observer.tell(Connection { pid: agent.pid().clone(), connected: false });
            tokio::time::sleep(Duration::from_secs(15)).await;
            assert_eq!(pings.lock().last(), Some(&false));
        });
    }

    /// When an agent is reported that answers no ping, and is connected again a second before the fifth is due; the agent
    /// that it has become answers so many.
    async fn reported_after_its_return(answers: u32) -> Vec<(bool, Duration)> {
        let node = Node::builder().offline().start().await.unwrap();
        let pings = Arc::<Mutex<Vec<bool>>>::default();
        let deaf = node.spawn_numbered(Agent { answers: 0, pings: pings.clone() });
        let returned = node.spawn_numbered(Agent { answers, pings });
        let (reports, start) = (Arc::<Mutex<Vec<(bool, Duration)>>>::default(), node.elapsed());
        let (clock, log) = (node.clone(), reports.clone());
        let master = Recipient::from_fn(Pid::nobody(), move |health: Health, _: &Pid| {
            log.lock().push((health.healthy, clock.elapsed() - start));
        });
        let observer =
            node.spawn_numbered(AgentObserver::new("a".into(), deaf.pid().clone(), master, LIMITS));
        observer.tell(Connection { pid: deaf.pid().clone(), connected: false });
        tokio::time::sleep(Duration::from_secs(74)).await;
        observer.tell(Connection { pid: returned.pid().clone(), connected: true });
        tokio::time::sleep(Duration::from_secs(27)).await;
        let reports = reports.lock();
        reports.clone()
    }

    #[test]
    fn an_agent_that_is_back_just_before_it_would_be_reported_has_another_interval_to_answer() {
        testing::run(async {
            assert_eq!(reported_after_its_return(9).await, []);
            assert_eq!(reported_after_its_return(0).await, [(false, Duration::from_secs(90))]);
        });
    }
}
