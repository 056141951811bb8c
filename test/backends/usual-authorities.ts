import { getCACertificates, setDefaultCACertificates } from 'node:tls'

/** Acts while an authority more (PEM) is among the usual ones, as a machine has them. */
export async function whileUsual<T>(authority: string, act: () => Promise<T>): Promise<T> {
  const before = getCACertificates('default')
  setDefaultCACertificates([...before, authority])
  try {
    return await act()
  } finally {
    setDefaultCACertificates(before)
  }
}
