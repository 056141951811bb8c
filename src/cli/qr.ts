/** A QR code of the text in half blocks, light on dark as a terminal mostly is; null if it would be wider than `columns`. */
export async function qrCode(text: string, columns: number): Promise<string | null> {
  const { renderUnicodeCompact } = await import('uqr')
  const code = renderUnicodeCompact(text, { ecc: 'L', border: 2 })
  return Math.max(...code.split('\n').map((line) => line.length)) <= columns ? code : null
}
