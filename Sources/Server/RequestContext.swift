package import Hummingbird
package import TaskCore

/// What the server knows of a request besides the request itself.
package struct TESRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// Who asks.
    package var principal = Principal.everyone

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
    }
}

/// What a handler knows of a request besides its input.
package struct CallContext: Sendable {
    package var principal: Principal
    /// The request's body, with what was wrong with its values.
    package var body: RequestBody
}
