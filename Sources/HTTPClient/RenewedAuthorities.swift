import Synchronization

/// Certificates that are trusted besides the system's, from a file that somebody may replace: it is read anew each minute, and keeps what it
/// said last while it cannot be used.
package final class RenewedAuthorities: Sendable {
    private static let lifetime = Duration.seconds(60)

    private let file: String
    private let system: String?
    private let clock: @Sendable () -> ContinuousClock.Instant
    private let state: Mutex<(authorities: AdditionalAuthorities, readAt: ContinuousClock.Instant)>

    /// Reads the file for the first time.
    ///
    /// - Parameters:
    ///   - file: the path of a file with certificates in PEM.
    ///   - system: the path of the system's own.
    package init(
        file: String, system: String? = AdditionalAuthorities.systemFile,
        clock: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) throws(AdditionalAuthorities.Unusable) {
        self.file = file
        self.system = system
        self.clock = clock
        state = Mutex((try AdditionalAuthorities(file: file, system: system), clock()))
    }

    /// Those of now.
    package var current: AdditionalAuthorities {
        state.withLock { state in
            let now = clock()
            if now - state.readAt >= Self.lifetime {
                state.readAt = now
                if let found = try? AdditionalAuthorities(file: file, system: system),
                    found.hasSystem || !state.authorities.hasSystem
                {
                    state.authorities = found
                }
            }
            return state.authorities
        }
    }
}
