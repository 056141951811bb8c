/** A bucket name from a folder's name: lower case, other characters as `-`; `folder` when nothing is left of it. */
export function bucketNameFor(folder: string): string {
  const name = folder
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 63)
    .replace(/[-.]+$/, '')
  return name.length >= 2 ? name : 'folder'
}
