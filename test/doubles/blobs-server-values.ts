/** Its message is told in the acknowledgement. */
export class ValidationError extends Error {}

const MOST_DATA = 0x100000
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

/** As the server's schemas: throws their very messages. Undefined passes, a missing `data` too. */
export function validate(what: 'ref' | 'data' | 'version', value: unknown): void {
  if (value === undefined) return
  const problem = PROBLEMS[what](value)
  if (problem !== null) throw new ValidationError(`"value" ${problem}`)
}

const PROBLEMS = { ref: refProblem, data: dataProblem, version: versionProblem }

function refProblem(value: unknown): string | null {
  if (typeof value !== 'string') return 'must be a string'
  if (value === '') return 'is not allowed to be empty'
  if (!/^[0-9a-f]*$/i.test(value)) return 'must only contain hexadecimal characters'
  return value.length === 64 ? null : 'length must be 64 characters long'
}

function dataProblem(value: unknown): string | null {
  if (typeof value !== 'string') return 'must be a string'
  if (value === '') return 'is not allowed to be empty'
  if (!BASE64.test(value)) return 'must be a valid base64 string'
  return value.length <= MOST_DATA ? null : `length must be less than or equal to ${MOST_DATA} characters long`
}

/** A text that is a number passes, and equals no version. */
function versionProblem(value: unknown): string | null {
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  if (typeof number !== 'number' || Number.isNaN(number)) return 'must be a number'
  if (!Number.isInteger(number)) return 'must be an integer'
  return number >= 1 ? null : 'must be greater than or equal to 1'
}
