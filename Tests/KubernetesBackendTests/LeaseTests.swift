import Foundation
import KubernetesAPI
import KubernetesBackend
import TES
import Testing

/// Which replica holds the Lease, by the facts of the recorded exchanges.
@Suite("Lease")
struct LeaseTests {
    private static let start = ContinuousClock.now
    private static let time = TES.Timestamp("2026-11-21T06:07:16.992Z") ?? TES.Timestamp(microseconds: 0)

    private func at(_ seconds: Double) -> ContinuousClock.Instant { Self.start + .seconds(seconds) }

    private func state(_ identity: String) -> LeaseState { LeaseState(identity: identity, duration: .seconds(15)) }

    private func lease(holder: String, version: Int, transitions: Int32 = 0, duration: Int32 = 15) -> Lease {
        var lease = Lease()
        lease.metadata = ObjectMeta(name: "tctl", uid: "u", resourceVersion: "\(version)")
        lease.spec = LeaseSpec(
            holderIdentity: holder, leaseDurationSeconds: duration, acquireTime: "a", renewTime: "r",
            leaseTransitions: transitions)
        return lease
    }

    /// Whether another replica keeps the Lease.
    private func refuses(_ state: inout LeaseState, _ lease: Lease, _ instant: ContinuousClock.Instant) -> Bool {
        state.next(lease, at: instant, time: Self.time, name: "tctl") == nil
    }

    @Test func timesHaveExactlySixDecimals() {
        #expect(TES.Timestamp(microseconds: 1_700_000_000_000_000).microTime == "2023-11-14T22:13:20.000000Z")
        #expect(TES.Timestamp(microseconds: 1_700_000_000_250_007).microTime == "2023-11-14T22:13:20.250007Z")
        #expect(TES.Timestamp(microseconds: 1_700_000_000_999_999).microTime == "2023-11-14T22:13:20.999999Z")
    }

    /// Between a leader's last moment and another's first there is time for a clock that runs faster.
    @Test(arguments: [2, 9, 12, 15, 60]) func aLeaderStopsBeforeItsLeaseRunsOut(_ duration: Int) {
        var options = LeaderElection.Options(name: "tctl", identity: "a")
        options.duration = duration
        #expect(options.patience <= .seconds(duration) * 0.67)
    }

    @Test func aLeaseThatIsNotThereIsMade() throws {
        var a = state("a")
        let first = a.next(nil, at: at(0), time: Self.time, name: "tctl")
        let wanted = try #require(first)
        #expect(wanted.metadata?.name == "tctl" && wanted.metadata?.resourceVersion == nil)
        #expect(wanted.spec?.holderIdentity == "a" && wanted.spec?.leaseDurationSeconds == 15)
        #expect(
            wanted.spec?.acquireTime == "2026-11-21T06:07:16.992000Z"
                && wanted.spec?.renewTime == wanted.spec?.acquireTime)
        #expect(wanted.spec?.leaseTransitions == 0)
        #expect(!a.isOurs)
        a.wrote(lease(holder: "a", version: 1), at: at(0))
        #expect(a.isOurs && a.renewedAt == at(0))
    }

    @Test func renewingKeepsWhatElseStandsThere() throws {
        var a = state("a")
        a.wrote(lease(holder: "a", version: 1, transitions: 4), at: at(0))
        let next = a.next(lease(holder: "a", version: 1, transitions: 4), at: at(5), time: Self.time, name: "tctl")
        let wanted = try #require(next)
        #expect(wanted.metadata?.resourceVersion == "1" && wanted.metadata?.uid == "u")
        #expect(wanted.spec?.acquireTime == "a" && wanted.spec?.leaseTransitions == 4)
        #expect(wanted.spec?.renewTime == "2026-11-21T06:07:16.992000Z")
    }

    @Test func anotherOnesLeaseIsTakenOnceItWasNotRenewedForItsTime() throws {
        var b = state("b")
        let isRefused1 = refuses(&b, lease(holder: "a", version: 1), at(0))
        #expect(isRefused1)
        let isRefused2 = refuses(&b, lease(holder: "a", version: 1), at(14))
        #expect(isRefused2)
        // It was renewed: the time begins anew.
        let isRefused3 = refuses(&b, lease(holder: "a", version: 2), at(14.5))
        #expect(isRefused3)
        let isRefused4 = refuses(&b, lease(holder: "a", version: 2), at(29))
        #expect(isRefused4)
        let next = b.next(lease(holder: "a", version: 2), at: at(29.6), time: Self.time, name: "tctl")
        let wanted = try #require(next)
        #expect(wanted.spec?.holderIdentity == "b" && wanted.spec?.leaseTransitions == 1)
        #expect(wanted.metadata?.resourceVersion == "2", "a write that another one's has overtaken is refused")
        #expect(wanted.spec?.acquireTime == wanted.spec?.renewTime)
    }

    @Test func aLongerPromiseHolds() {
        var b = state("b")
        let held = lease(holder: "a", version: 1, duration: 60)
        let isRefused5 = refuses(&b, held, at(0))
        #expect(isRefused5)
        let isRefused6 = refuses(&b, held, at(59))
        #expect(isRefused6)
        let isRefused7 = refuses(&b, held, at(61))
        #expect(!isRefused7)
    }

    @Test func aReleasedLeaseIsTakenAtOnce() throws {
        var b = state("b")
        let next = b.next(lease(holder: "", version: 3), at: at(0), time: Self.time, name: "tctl")
        let wanted = try #require(next)
        #expect(wanted.spec?.holderIdentity == "b" && wanted.spec?.leaseTransitions == 1)
    }

    @Test func whoWasOvertakenLeadsNoMore() {
        var a = state("a")
        a.wrote(lease(holder: "a", version: 1), at: at(0))
        let isRefused8 = refuses(&a, lease(holder: "b", version: 2), at(100))
        #expect(isRefused8)
        #expect(!a.isOurs)
    }
}
