import type { Path, Reason } from './types.ts'

export interface Explanation {
  /** Why the path is not in sync, one sentence. */
  readonly reason: string
  /** What makes it so, one sentence. */
  readonly remedy: string
}

const EXPLANATIONS: Readonly<Record<Reason, (path: Path) => Explanation>> = {
  symlink: (path) => ({
    reason: 'It is a symbolic link, and links are not followed.',
    remedy: `Put the file itself at ${path}, or add the path to .blobsignore.`,
  }),
  'special-file': (path) => ({
    reason: 'It is a socket, pipe or device, which has no content to sync.',
    remedy: `Move it out of the folder, or add ${path} to .blobsignore.`,
  }),
  unreadable: (path) => ({
    reason: 'It cannot be read with the permissions of this user, or the disk failed.',
    remedy: `Give this user read access to ${path} (for a folder also x), or add it to .blobsignore.`,
  }),
  'name-not-unicode': (path) => ({
    reason: 'Its name is not valid Unicode, which every key is.',
    remedy: `Rename ${path} to a name in UTF-8.`,
  }),
  'name-too-long': (path) => ({
    reason:
      'A part of its name is longer than the 255 bytes that a disk takes, or the whole is longer than a key can be.',
    remedy: `Give ${path} a shorter name where it was made.`,
  }),
  'name-reserved': (path) => ({
    reason: 'This disk cannot hold its name, or the name is kept for blobs itself.',
    remedy: `Copy it to another key with blobs cp; ${path} stays in the bucket as it is.`,
  }),
  'name-clash': (path) => ({
    reason: 'Another name in the same folder is the same to this disk (upper and lower case, or Unicode form).',
    remedy: `Rename ${path} or its twin so that they differ in more than that.`,
  }),
  'file-and-folder': (path) => ({
    reason: 'The bucket has a blob of this name and blobs below it; on disk the folder keeps the name.',
    remedy: `Move the blob ${path} to another key with blobs mv, or read it with blobs cat.`,
  }),
  busy: (path) => ({
    reason: 'A program has it open for writing.',
    remedy: `Nothing to do: it is synced when ${path} is closed.`,
  }),
  changing: (path) => ({
    reason: 'It changed while it was being looked at.',
    remedy: `Nothing to do: ${path} is looked at again once it is quiet.`,
  }),
  'other-device': (path) => ({
    reason: 'It is on another file system than the folder, so that its absence would prove nothing.',
    remedy: `Sync the mounted folder by itself, or add ${path} to .blobsignore.`,
  }),
  'not-writable': (path) => ({
    reason: 'It cannot be written with the permissions of this user.',
    remedy: `Give this user write access to ${path} and to its folder.`,
  }),
  'disk-full': (path) => ({
    reason: 'The disk is full; nothing was replaced.',
    remedy: `Free some space; ${path} is tried again by itself.`,
  }),
  'too-large': (path) => ({
    reason: 'It is larger than the bucket takes.',
    remedy: `Raise the limit of the bucket, make ${path} smaller, or add it to .blobsignore.`,
  }),
  forbidden: (path) => ({
    reason: 'The token does not allow this.',
    remedy: `Sign in with a token whose scope covers ${path}.`,
  }),
  'download-failed': (path) => ({
    reason: 'Its bytes could not be fetched whole; the file on disk is untouched.',
    remedy: `It is tried again by itself; blobs why ${path} tells the cause.`,
  }),
  'upload-failed': (path) => ({
    reason: 'Its bytes could not be stored; the file on disk is untouched.',
    remedy: `It is tried again by itself; blobs why ${path} tells the cause.`,
  }),
  'waiting-for-approval': (path) => ({
    reason: 'It is one of so many deletions at once that they wait for a yes.',
    remedy: `Run blobs approve to delete ${path} and the others, or blobs reject to bring them back.`,
  }),
}

/** What to tell a person about a path that is not in sync. */
export function explain(reason: Reason, path: Path): Explanation {
  return EXPLANATIONS[reason](path)
}
