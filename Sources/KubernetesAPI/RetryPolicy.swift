import HTTPClient

/// When a request is sent again, and after how long.
///
/// Sent again is what the server did not carry out (no connection, 429 with `Retry-After`), whatever it is; after another 429, a
/// 5xx and a broken connection only what may be carried out twice (``APIRequest/isRepeatable``).
package struct RetryPolicy: Hashable, Sendable {
    /// How often a request is sent at most.
    package var attempts = 5
    /// The first wait; each further one is twice as long. A random part, up to half, is taken off.
    package var firstDelay = Duration.milliseconds(250)
    package var longestDelay = Duration.seconds(10)
    /// A longer `Retry-After` is left to the caller.
    package var longestRetryAfter = Duration.seconds(30)

    package init() {}

    /// The request is sent once.
    package static var none: RetryPolicy {
        var policy = RetryPolicy()
        policy.attempts = 1
        return policy
    }

    /// How long to wait after so many failures in a row; nil gives up.
    func delay(after error: KubernetesError, failures: Int, isRepeatable: Bool) -> Duration? {
        guard failures < attempts else { return nil }
        switch error {
        case .transport(.unreachable): break
        case .transport(let error):
            guard isRepeatable, error.isTransient else { return nil }
        case .refused(let refusal):
            switch refusal.code {
            case 429 where refusal.retryAfter != nil: break
            case 429, 500, 502, 503, 504: guard isRepeatable else { return nil }
            default: return nil
            }
            if let asked = refusal.retryAfter {
                guard asked <= longestRetryAfter else { return nil }
                return asked + backoff(failures) / 2
            }
        case .unreadable, .credentials: return nil
        }
        return backoff(failures)
    }

    /// The wait after so many failures, with its random part.
    func backoff(_ failures: Int) -> Duration {
        let doublings = min(max(failures, 1) - 1, 20)
        return min(longestDelay, firstDelay * (1 << doublings)) * Double.random(in: 0.5...1)
    }
}

/// Waits.
///
/// - Throws: ``HTTPError/cancelled`` in a cancelled task.
func pause(_ duration: Duration) async throws(KubernetesError) {
    do { try await Task.sleep(for: duration) } catch { throw .transport(.cancelled) }
}

/// Lets so many requests a second pass, and a burst of them at once.
actor RequestLimit {
    private let rate: Double
    private let burst: Double
    /// Negative while requests wait that were counted already.
    private var tokens: Double
    private var last = ContinuousClock.now

    init(rate: Double, burst: Int) {
        self.rate = rate
        self.burst = Double(burst)
        tokens = Double(burst)
    }

    /// Waits for this request's turn.
    func take() async throws(KubernetesError) {
        let now = ContinuousClock.now
        tokens = min(burst, tokens + (now - last) / .seconds(1) * rate) - 1
        last = now
        if tokens < 0 { try await pause(.seconds(-tokens / rate)) }
    }
}
