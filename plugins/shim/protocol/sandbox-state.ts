/** The words of CRI, which containerd's own controllers use as well. */
export const sandboxState = {ready: 'SANDBOX_READY', notReady: 'SANDBOX_NOTREADY'} as const;
