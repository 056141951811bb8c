import { openMemory } from '../../src/backends/memory/memory.ts'
import { backendConformance } from './conformance.ts'

backendConformance(
  'memory',
  async () => {
    const backend = openMemory()
    return { open: async () => backend, drop: async () => undefined }
  },
  { forgets: 'it lives in this process alone' },
)
