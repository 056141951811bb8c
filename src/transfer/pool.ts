/**
 * Runs up to `width` tasks at a time over a source and gives what they give, in the order of the source, as soon as each is done. The
 * source is read only `width` ahead. The first error of a task is thrown in its place, after which no new task starts and the ones that
 * run are waited for.
 */
export async function* ordered<In, Out>(
  source: AsyncIterable<In> | Iterable<In>,
  width: number,
  task: (item: In) => Promise<Out>,
): AsyncGenerator<Out> {
  const running: Promise<Out>[] = []
  try {
    for await (const item of source) {
      const started = task(item)
      // Its failure is thrown when its turn comes.
      started.catch(() => undefined)
      running.push(started)
      if (running.length >= width) yield await (running.shift() as Promise<Out>)
    }
    while (running.length > 0) yield await (running.shift() as Promise<Out>)
  } finally {
    await Promise.allSettled(running)
  }
}
