//! What frameworks, agents and masters say that they can do, as plain flags (upstream: the
//! `Capabilities` structs of `src/common/protobuf_utils.hpp`). Unknown capabilities are ignored.

use crate::v1;

macro_rules! capabilities {
    ($(#[$doc:meta])* $name:ident of $message:path, $kind:path { $($(#[$flag_doc:meta])* $flag:ident: $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        pub struct $name {
            $($(#[$flag_doc])* pub $flag: bool,)*
        }

        impl $name {
            /// Every capability that this version knows.
            pub const ALL: Self = Self { $($flag: true,)* };

            /// None of them.
            pub const NONE: Self = Self { $($flag: false,)* };

            /// From the list in the message.
            #[must_use]
            pub fn from_protos(list: &[$message]) -> Self {
                use $kind as Kind;
                let mut flags = Self::default();
                for capability in list {
                    match capability.r#type() {
                        Kind::Unknown => {}
                        $(Kind::$variant => flags.$flag = true,)*
                    }
                }
                flags
            }

            /// The list for the message, in the order of the protocol's numbers.
            #[must_use]
            pub fn to_protos(&self) -> Vec<$message> {
                use $kind as Kind;
                [$((self.$flag, Kind::$variant),)*]
                    .into_iter()
                    .filter(|(has, _)| *has)
                    .map(|(_, kind)| {
                        let mut capability = <$message>::default();
                        capability.set_type(kind);
                        capability
                    })
                    .collect()
            }

            /// The names, in the order of the protocol's numbers.
            pub fn names(&self) -> impl Iterator<Item = &'static str> {
                use $kind as Kind;
                [$((self.$flag, Kind::$variant),)*]
                    .into_iter()
                    .filter(|(has, _)| *has)
                    .map(|(_, kind)| kind.as_str_name())
            }
        }
    };
}

capabilities! {
    /// What a framework can do.
    FrameworkCapabilities of v1::framework_info::Capability, v1::framework_info::capability::Type {
        /// Takes resources that may be taken back.
        revocable_resources: RevocableResources,
        /// Knows TASK_KILLING.
        task_killing_state: TaskKillingState,
        /// Is offered agents with gpus.
        gpu_resources: GpuResources,
        /// Takes resources that others use as well.
        shared_resources: SharedResources,
        /// Knows TASK_UNREACHABLE, TASK_DROPPED, TASK_GONE and TASK_UNKNOWN; others get TASK_LOST.
        partition_aware: PartitionAware,
        /// Has `roles` instead of `role`.
        multi_role: MultiRole,
        /// Knows stacks of reservations.
        reservation_refinement: ReservationRefinement,
        /// Is offered agents of other regions.
        region_aware: RegionAware,
    }
}

capabilities! {
    /// What an agent can do.
    AgentCapabilities of v1::agent_info::Capability, v1::agent_info::capability::Type {
        /// Runs tasks of frameworks with several roles.
        multi_role: MultiRole,
        /// Knows roles with slashes.
        hierarchical_role: HierarchicalRole,
        /// Knows stacks of reservations.
        reservation_refinement: ReservationRefinement,
        /// Has resource providers.
        resource_provider: ResourceProvider,
        /// Grows and shrinks volumes.
        resize_volume: ResizeVolume,
        /// Sends acknowledged updates of operations.
        agent_operation_feedback: AgentOperationFeedback,
        /// Can be drained.
        agent_draining: AgentDraining,
        /// Knows limits of tasks apart from their requests.
        task_resource_limits: TaskResourceLimits,
    }
}

capabilities! {
    /// What a master can do.
    MasterCapabilities of v1::master_info::Capability, v1::master_info::capability::Type {
        /// Agents may change their resources when they re-register.
        agent_update: AgentUpdate,
        /// Drains agents.
        agent_draining: AgentDraining,
        /// Knows guarantees and limits of quota.
        quota_v2: QuotaV2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Upstream: `ProtobufUtilTest.FrameworkCapabilities`, `AgentCapabilities`.
    #[test]
    fn lists_and_flags_say_the_same() {
        let flags = FrameworkCapabilities { partition_aware: true, multi_role: true, ..Default::default() };
        assert_eq!(FrameworkCapabilities::from_protos(&flags.to_protos()), flags);
        assert_eq!(flags.names().collect::<Vec<_>>(), ["PARTITION_AWARE", "MULTI_ROLE"]);
        assert_eq!(
            AgentCapabilities::from_protos(&AgentCapabilities::ALL.to_protos()),
            AgentCapabilities::ALL
        );
    }

    #[test]
    fn unknown_capabilities_are_ignored() {
        let unknown = v1::framework_info::Capability { r#type: Some(99) };
        assert_eq!(FrameworkCapabilities::from_protos(&[unknown]), FrameworkCapabilities::default());
    }
}
