import { createPrivateKey, X509Certificate } from 'node:crypto'
import { expect, it } from 'vitest'
import { fingerprintOf, makeCertificate, toPem } from '../../src/access/certificate.ts'

it('a certificate is signed by its own key, for servers only, and does not end', () => {
  const { cert, key } = makeCertificate(['localhost', 'laptop'])
  const certificate = new X509Certificate(cert)
  expect(certificate.verify(certificate.publicKey)).toBe(true)
  expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true)
  expect(certificate.ca).toBe(false)
  expect(certificate.subject).toBe('CN=blobs')
  expect(certificate.subjectAltName).toBe('DNS:localhost, DNS:laptop')
  expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1'])
  expect(certificate.validFrom).toBe('Jan  1 00:00:00 2020 GMT')
  expect(certificate.validTo).toBe('Dec 31 23:59:59 9999 GMT')
})

it('no two certificates are the same', () => {
  const two = [makeCertificate([]), makeCertificate([])].map(({ cert }) => new X509Certificate(cert))
  expect(new Set(two.map(({ serialNumber }) => serialNumber)).size).toBe(2)
  expect(new Set(two.map(({ fingerprint256 }) => fingerprint256)).size).toBe(2)
})

it('many names make a longer certificate, which stays whole', () => {
  const names = Array.from({ length: 60 }, (_, index) => `machine-number-${index}.example`)
  const certificate = new X509Certificate(makeCertificate(names).cert)
  expect(certificate.subjectAltName?.split(', ')).toHaveLength(60)
  expect(certificate.verify(certificate.publicKey)).toBe(true)
})

it('the fingerprint is the SHA-256 of the certificate, whatever its text form', () => {
  const { cert } = makeCertificate(['localhost'])
  const certificate = new X509Certificate(cert)
  expect(fingerprintOf(cert)).toMatch(/^[0-9a-f]{64}$/)
  expect(fingerprintOf(toPem(certificate.raw))).toBe(fingerprintOf(cert))
})
