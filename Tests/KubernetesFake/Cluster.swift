/// A cluster in memory: its objects, its history, and the controllers and kubelets that play along. `APIServer` shows it over HTTP.
///
/// What it does and says is taken from recordings of Kubernetes 1.36; `KubernetesFakeTests` holds it to them.
package actor Cluster {
    /// The cluster's clock.
    package nonisolated let timeline: Timeline
    let runtime: any ContainerRuntime
    /// How long things take.
    package var timing: Timing
    /// What a test sets to make the cluster refuse or hold back things.
    package var policy = Policy()
    /// Who may ask what; nil lets everybody do everything.
    package var access: Access?

    var objects: [Resource: [ObjectKey: JSON]] = [:]
    /// Of the last list, in order.
    var listedKeys: (resource: Resource, version: Int, keys: [ObjectKey])?
    var resourceVersion = 5000
    /// Changes after `compacted`, oldest first.
    var history: [Change] = []
    /// The last version whose change is no longer known.
    var compacted = 4000
    /// The changes that are kept at least; older ones are compacted.
    var historyLimit = 50_000
    var watchers: [Int: Watcher] = [:]
    var watchersOfAll: [Resource: Set<Int>] = [:]
    var watchersOfName: [Resource: [String: Set<Int>]] = [:]
    var nextWatcher = 0

    /// Keys of objects by the uid of each owner.
    var dependents: [String: Set<Dependent>] = [:]
    /// Lives of Pods on nodes, by uid.
    var lives: [String: PodLife] = [:]
    var nodes: [String: NodeState] = [:]
    /// Jobs whose controller will look at them, and when.
    var jobSyncs: [ObjectKey: Double] = [:]
    var jobFailures: [ObjectKey: Int] = [:]
    var eventCounts: [String: Int] = [:]
    var eventNames: [String: ObjectKey] = [:]
    var unscheduled: Set<ObjectKey> = []
    var nextAddress = 0

    /// A cluster with the given namespaces and one node `localhost`.
    package init(
        timeline: Timeline, runtime: any ContainerRuntime, timing: Timing = Timing(), namespaces: [String] = ["poiesis"]
    ) {
        self.timeline = timeline
        self.runtime = runtime
        self.timing = timing
        timeline.attach(self)
        timeline.after(0) { cluster in
            for name in namespaces where cluster.object(.namespaces, ObjectKey("", name)) == nil {
                cluster.insert(.namespaces, ["metadata": ["name": .string(name)], "status": ["phase": "Active"]])
            }
            if cluster.nodes.isEmpty { cluster.addNode("localhost") }
        }
    }

    /// Changes policy, timing or access.
    package func configure(_ change: @Sendable (isolated Cluster) -> Void) { change(self) }

    /// Does what is due now; a cluster whose clock is scaled does so by itself, a little later.
    package func runDueNow() { runDue() }

    func runDue() {
        while let action = timeline.takeDue(timeline.now) { action(self) }
    }

    /// Lets a stepped clock run on by a time, doing everything that falls due on the way.
    package func advance(_ seconds: Double) {
        let limit = timeline.now + seconds
        while let action = timeline.takeDue(limit) { action(self) }
        timeline.step(to: limit)
    }

    /// Lets a stepped clock run until a condition holds. Returns false if it does not within `seconds`.
    package func advance(
        until condition: @Sendable (isolated Cluster) -> Bool, within seconds: Double = 600
    ) -> Bool {
        let limit = timeline.now + seconds
        if condition(self) { return true }
        while let action = timeline.takeDue(limit) {
            action(self)
            if condition(self) { return true }
        }
        timeline.step(to: limit)
        return false
    }

    var now: Double { timeline.now }
    /// The time as objects carry it.
    var timestamp: JSON { .string(Timeline.text(now)) }

    func after(_ seconds: Double, _ action: @escaping Timeline.Action) { timeline.after(seconds, action) }
}

/// How long the parts of a cluster take, in cluster seconds. The defaults are means of the recordings.
package struct Timing: Sendable {
    /// From a Pod's creation to its binding, if it can be bound.
    package var schedule = 0.005
    /// From the binding until the kubelet shows the containers' statuses.
    package var admit = 0.02
    /// From then until the sandbox exists.
    package var sandbox = 0.45
    /// From the kubelet's decision to start a container until its status shows it.
    package var start = 0.08
    /// From a container's end until its status shows it: the kubelet looks once a second.
    package var notice = 0.85
    /// From an init container's shown failure until the sidecars get SIGTERM.
    package var failure = 1.03
    /// From the last container's end until the Pod's phase is final.
    package var finish = 1.9
    /// How long the Job controller waits to gather changes of Pods.
    package var jobSync = 0.98
    /// From a failed pull's Event until the status shows `ErrImagePull`.
    package var imageError = 0.9
    /// From `ErrImagePull` until the status shows `ImagePullBackOff`.
    package var imageBackOff = 12.3
    /// From the kubelet's stop until its node is `Unknown` and tainted.
    package var nodeGrace = 50.0
    /// Restarts of a sidecar after its first, second … end; the last one for all later ones.
    package var restarts = [0.07, 13.5, 20.4, 40, 80, 160, 300]
    /// Between two bookmarks of a watch.
    package var bookmark = 60.0

    /// The defaults.
    package init() {}
}

/// What a test sets to make the cluster refuse or hold back things.
package struct Policy: Sendable {
    /// The most Pods that the quota of a namespace allows; nil is no quota. Set `quotaName` for the messages.
    package var podQuota: [String: Int] = [:]
    /// The quota's name in messages.
    package var quotaName = "no-pods"
    /// Namespaces whose Pods are refused as PodSecurity `restricted` refuses them unless they keep to it.
    package var restricted: Set<String> = []
    /// What a webhook answers to the creation of an object of that name: code and message; nil where it lets it pass.
    package var webhook: (@Sendable (Resource, _ name: String) -> (code: Int, message: String)?)?
    /// How many Pods more the nodes' kubelets refuse, for want of CPU.
    package var nodeRefusals = 0
    /// The StorageClasses that exist; a claim without one gets the first.
    package var storageClasses = ["hostpath"]
    /// Whether claims are bound; while false they stay Pending.
    package var bindsVolumes = true
    /// Whether the Eviction API refuses (429, a disruption budget).
    package var blocksEvictions = false
    /// Whether the controllers and the kubelet act on new Pods and Jobs; without them the fake is an API alone.
    package var controllers = true
}

/// Who may ask what.
package struct Access: Sendable {
    /// One holder of a token.
    package struct Account: Sendable {
        /// The user's name in messages.
        package var name: String
        /// What it may do, `verb group/resource`, such as `list /pods` or `create batch/jobs`; nil is everything.
        package var rules: Set<String>?

        /// An account.
        package init(name: String, rules: Set<String>?) { (self.name, self.rules) = (name, rules) }
    }

    /// Accounts by bearer token. Another token is 401, no token 403.
    package var accounts: [String: Account]

    /// - Parameter accounts: by token.
    package init(accounts: [String: Account]) { self.accounts = accounts }
}
