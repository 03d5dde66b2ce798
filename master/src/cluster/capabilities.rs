//! What a framework or an agent said it can do, as flags (upstream:
//! `common/protobuf_utils.hpp`, `framework::Capabilities`, `slave::Capabilities`).

use mesos::v1;

/// The capabilities of a framework.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameworkCapabilities {
    /// Takes revocable resources.
    pub revocable_resources: bool,
    /// Understands TASK_KILLING.
    pub task_killing_state: bool,
    /// May be offered agents with GPUs.
    pub gpu_resources: bool,
    /// May be offered shared resources.
    pub shared_resources: bool,
    /// Tells apart the ways in which a task can be lost.
    pub partition_aware: bool,
    /// Lists its roles in `roles`, not in `role`.
    pub multi_role: bool,
    /// Understands stacks of reservations.
    pub reservation_refinement: bool,
    /// May be offered agents of other regions.
    pub region_aware: bool,
}

impl FrameworkCapabilities {
    /// Those that `info` lists.
    pub fn of(info: &v1::FrameworkInfo) -> Self {
        use v1::framework_info::capability::Type;
        let mut found = Self::default();
        for capability in &info.capabilities {
            match capability.r#type() {
                Type::RevocableResources => found.revocable_resources = true,
                Type::TaskKillingState => found.task_killing_state = true,
                Type::GpuResources => found.gpu_resources = true,
                Type::SharedResources => found.shared_resources = true,
                Type::PartitionAware => found.partition_aware = true,
                Type::MultiRole => found.multi_role = true,
                Type::ReservationRefinement => found.reservation_refinement = true,
                Type::RegionAware => found.region_aware = true,
                Type::Unknown => {}
            }
        }
        found
    }
}

/// The capabilities of an agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AgentCapabilities {
    /// Keeps allocation info in resources.
    pub multi_role: bool,
    /// Knows roles that are paths.
    pub hierarchical_role: bool,
    /// Keeps stacks of reservations.
    pub reservation_refinement: bool,
    /// Reports resources of resource providers.
    pub resource_provider: bool,
    /// Can grow and shrink volumes.
    pub resize_volume: bool,
    /// Sends feedback on operations on its own resources.
    pub agent_operation_feedback: bool,
    /// Can be drained.
    pub agent_draining: bool,
    /// Can set limits above a task's requests.
    pub task_resource_limits: bool,
}

impl AgentCapabilities {
    /// Those that are listed.
    pub fn of(capabilities: &[v1::agent_info::Capability]) -> Self {
        use v1::agent_info::capability::Type;
        let mut found = Self::default();
        for capability in capabilities {
            match capability.r#type() {
                Type::MultiRole => found.multi_role = true,
                Type::HierarchicalRole => found.hierarchical_role = true,
                Type::ReservationRefinement => found.reservation_refinement = true,
                Type::ResourceProvider => found.resource_provider = true,
                Type::ResizeVolume => found.resize_volume = true,
                Type::AgentOperationFeedback => found.agent_operation_feedback = true,
                Type::AgentDraining => found.agent_draining = true,
                Type::TaskResourceLimits => found.task_resource_limits = true,
                Type::Unknown => {}
            }
        }
        found
    }
}
