import TaskCore
import Testing

@Suite("Backoff")
struct BackoffTests {
    @Test func pausesDoubleUpToTheirLimitAndVaryByHalf() {
        var seen: Set<Duration> = []
        for _ in 0..<50 {
            var backoff = Backoff(.milliseconds(50), limit: .milliseconds(300))
            for base in [50, 100, 200, 300, 300] {
                let pause = backoff.next()
                #expect(pause >= .milliseconds(base) && pause < .milliseconds(base) * 1.5)
                seen.insert(pause)
            }
        }
        // Many that began together do not come back together.
        #expect(seen.count > 200)
    }

    @Test func theFirstPauseIsNoLongerThanTheLimit() {
        var backoff = Backoff(.seconds(5), limit: .seconds(1))
        #expect(backoff.next() < .seconds(1.5))
    }
}
