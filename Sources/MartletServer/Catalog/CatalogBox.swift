import Synchronization

/// Where the catalog is put once the listener stands: the control routes are made before it, the catalog after.
package final class CatalogBox: Sendable {
    private let box = Mutex<Catalog?>(nil)

    package init() {}

    package var value: Catalog? { box.withLock { $0 } }

    package func fill(_ catalog: Catalog) { box.withLock { $0 = catalog } }
}
