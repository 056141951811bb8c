import { join } from 'node:path'
import { playTranscripts } from './transcript.ts'

playTranscripts(join(import.meta.dirname, 'golden-sync'), 180_000)
