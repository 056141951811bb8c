/** Acts on each item, on so many at the same time; results in the order of the items. The first failure ends it, once what is under way has ended. */
export async function eachOf<T, R>(
  items: readonly T[],
  parallel: number,
  act: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = Array.from({ length: items.length })
  const queue = items.entries()
  let failed = false
  const work = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failed) return
      try {
        results[index] = await act(item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const workers = await Promise.allSettled(Array.from({ length: Math.min(parallel, items.length) }, work))
  for (const worker of workers) if (worker.status === 'rejected') throw worker.reason
  return results
}
